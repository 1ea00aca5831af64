"""A magazine on Wagtail, with articles and a form for readers: `DJANGO_SETTINGS_MODULE=press.settings`."""
