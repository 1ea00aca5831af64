"""Makes the first issue of an empty magazine, and names its editor: `python -m press.first_issue NAME PASSWORD`."""

from __future__ import annotations

import sys

import django

FIELDS = (("name", "singleline"), ("email", "email"), ("subject", "singleline"), ("letter", "multiline"))


def main() -> None:
    """Makes the magazine."""
    django.setup()
    from django.contrib.auth.models import User
    from wagtail.models import Page, Site

    from press.models import Article, Letter, LetterField

    name, password = sys.argv[1:]
    User.objects.create_superuser(name, f"{name}@example.org", password)
    root = Page.get_first_root_node()
    Page.objects.filter(slug="home").delete()
    front = root.__class__.objects.get(pk=root.pk).add_child(
        instance=Article(title="The Portcullis", slug="front", body="<p>News of gates.</p>")
    )
    Site.objects.update_or_create(is_default_site=True, defaults={"hostname": "shop.test", "root_page": front})
    letter = front.add_child(instance=Letter(title="Write to us", slug="write"))
    for order, (label, kind) in enumerate(FIELDS):
        LetterField.objects.create(page=letter, sort_order=order, label=label, field_type=kind)


if __name__ == "__main__":
    main()
