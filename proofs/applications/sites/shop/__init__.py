"""A shop of django-oscar, as its own documentation sets one up: `DJANGO_SETTINGS_MODULE=shop.settings`."""
