"""Settings of the shop."""

from __future__ import annotations

import site_settings
from oscar import INSTALLED_APPS as OSCAR_APPS
from oscar.defaults import *  # noqa: F403  as Oscar wants it
from site_settings import *  # noqa: F403  as settings are shared

SITE_ID = 1
ROOT_URLCONF = "shop.urls"
LANGUAGE_CODE = "en-gb"

INSTALLED_APPS = [*OSCAR_APPS, "sorl.thumbnail"]
MIDDLEWARE = [
    *site_settings.MIDDLEWARE,
    "oscar.apps.basket.middleware.BasketMiddleware",
    "django.contrib.flatpages.middleware.FlatpageFallbackMiddleware",
]
TEMPLATES = site_settings.templates(
    "oscar.apps.search.context_processors.search_form",
    "oscar.apps.checkout.context_processors.checkout",
    "oscar.core.context_processors.metadata",
)
AUTHENTICATION_BACKENDS = ["oscar.apps.customer.auth_backends.EmailBackend"]
DATABASES = site_settings.databases("shop", ATOMIC_REQUESTS=True)
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
OSCAR_MODERATE_REVIEWS = True
