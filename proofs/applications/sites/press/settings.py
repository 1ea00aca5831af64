"""Settings of the magazine."""

from __future__ import annotations

import site_settings
from site_settings import *  # noqa: F403  as settings are shared

ROOT_URLCONF = "press.urls"

INSTALLED_APPS = [
    "press",
    "wagtail.contrib.forms",
    "wagtail.contrib.redirects",
    "wagtail.contrib.table_block",
    "wagtail.embeds",
    "wagtail.sites",
    "wagtail.users",
    "wagtail.snippets",
    "wagtail.documents",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
    "django_filters",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [*site_settings.MIDDLEWARE, "wagtail.contrib.redirects.middleware.RedirectMiddleware"]
MIGRATION_MODULES = {"press": "press_migrations"}
X_FRAME_OPTIONS = "SAMEORIGIN"
TEMPLATES = site_settings.templates()
DATABASES = site_settings.databases("press")
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
WAGTAIL_SITE_NAME = "The Portcullis"
WAGTAILADMIN_BASE_URL = "https://shop.test"
WAGTAILDOCS_EXTENSIONS = ["csv", "md", "pdf", "txt"]
WAGTAILSEARCH_BACKENDS = {"default": {"BACKEND": "wagtail.search.backends.database"}}
