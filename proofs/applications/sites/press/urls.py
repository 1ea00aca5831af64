"""The addresses of the magazine: its administration, its search, its pages."""

from __future__ import annotations

from django.conf import settings
from django.shortcuts import render
from django.urls import include, path, re_path
from django.views.static import serve
from wagtail import urls as pages
from wagtail.admin import urls as admin
from wagtail.documents import urls as documents
from wagtail.models import Page


def search(request):  # type: ignore[no-untyped-def]
    """Pages that have what is asked for."""
    asked = request.GET.get("query", "")
    found = Page.objects.live().search(asked) if asked else []
    return render(request, "press/search.html", {"asked": asked, "found": found})


urlpatterns = [
    path("admin/", include(admin)),
    path("documents/", include(documents)),
    path("search/", search),
    re_path(r"^media/(?P<path>.*)$", serve, {"document_root": settings.MEDIA_ROOT}),
    path("", include(pages)),
]
