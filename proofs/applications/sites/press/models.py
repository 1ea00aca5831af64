"""What the magazine is made of: articles, and forms to write to it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from modelcluster.fields import ParentalKey
from wagtail.admin.panels import FieldPanel, InlinePanel
from wagtail.blocks import RawHTMLBlock, TextBlock
from wagtail.contrib.forms.models import AbstractForm, AbstractFormField
from wagtail.fields import RichTextField, StreamField
from wagtail.models import Page


class Article(Page):
    """An article: rich text, then blocks of code and of HTML."""

    summary = models.CharField(max_length=250, blank=True)
    body = RichTextField(blank=True)
    blocks = StreamField([("code", TextBlock()), ("html", RawHTMLBlock())], blank=True)

    template = "press/article.html"
    content_panels: ClassVar = [*Page.content_panels, FieldPanel("summary"), FieldPanel("body"), FieldPanel("blocks")]


class Letter(AbstractForm):
    """A page with a form for readers."""

    template = "press/letter.html"
    landing_page_template = "press/thanks.html"
    content_panels: ClassVar = [*AbstractForm.content_panels, InlinePanel("form_fields")]


class LetterField(AbstractFormField):
    """A field of such a form."""

    page = ParentalKey(Letter, on_delete=models.CASCADE, related_name="form_fields")
