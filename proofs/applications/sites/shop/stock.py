"""Puts things on the shelves of an empty shop, and names who runs it: `python -m shop.stock NAME PASSWORD`."""

from __future__ import annotations

import sys
from decimal import Decimal

import django

PRODUCTS = (
    ("Lamps", "Desk lamp 'Oslo' 40 W", "A lamp for desks & shelves; 2 m of cable.", "39.90"),
    ("Lamps", "Lantern, bronze", "It's bright where it has to be -- and nowhere else.", "64.00"),
    ("Tools", "Rope, 30 m", "Holds 200 kg (tested: 240 kg).", "24.50"),
    ("Tools", 'Union joint 1/2"', 'Select the size, then order: 1/2" or 3/4".', "3.20"),
    ("Books", "SELECT * FROM tables: a carpenter's guide", "From the top of a table to its legs.", "18.00"),
)


def main() -> None:
    """Makes the shop."""
    django.setup()
    from django.contrib.auth.models import User
    from oscar.apps.address.models import Country
    from oscar.apps.catalogue.categories import create_from_breadcrumbs
    from oscar.apps.catalogue.models import Product, ProductCategory, ProductClass
    from oscar.apps.partner.models import Partner, StockRecord

    name, password = sys.argv[1:]
    User.objects.create_superuser("shopkeeper", name, password)
    for code, long in (("DE", "Germany"), ("IE", "Ireland"), ("GB", "United Kingdom")):
        Country.objects.create(
            iso_3166_1_a2=code, iso_3166_1_a3=code, printable_name=long, name=long, is_shipping_country=True
        )
    kind = ProductClass.objects.create(name="Things", requires_shipping=True, track_stock=True)
    partner = Partner.objects.create(name="Ourselves")
    for number, (category, title, description, price) in enumerate(PRODUCTS):
        product = Product.objects.create(product_class=kind, title=title, description=description, upc=f"T{number}")
        ProductCategory.objects.create(product=product, category=create_from_breadcrumbs(category))
        StockRecord.objects.create(
            product=product, partner=partner, partner_sku=f"S{number}", price=Decimal(price), num_in_stock=100
        )


if __name__ == "__main__":
    main()
