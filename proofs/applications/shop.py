"""A shop, django-oscar: people register, search, review, put into the basket and check out; a shopkeeper edits."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proofs.applications import SITE, Application, Step, django, steps, words

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CUSTOMER: Final = "zoe.o'brien@example.org"
_KEEPER: Final = "keeper@example.org"
_PRODUCTS: Final = (
    "desk-lamp-oslo-40-w_1",
    "lantern-bronze_2",
    "rope-30-m_3",
    "union-joint-12_4",
    "select-from-tables-a-carpenters-guide_5",
)
_SEARCHES: Final = (
    "lamp",
    "O'Brien",
    'joint 1/2"',
    "select from tables",
    "rope; 30 m -- cheap",
    "<lamp>",
    "50% off & more",
)
_REVIEWS: Final = (
    ("It's bright -- where it has to be", words.PROSE),
    ('5/5 ("would buy again")', words.EQUATION),
    ("Select this, drop the other", words.MARKDOWN),
    ('Fits 1/2" && 3/4"', "It came; it fits; it's tight. I'd take 2 or more = 10% off? See " + words.URL),
    ("SELECT * FROM tables: what I typed", words.SQL),
)


def _make(folder: Path) -> None:
    django.call("shop.settings", folder, "django", "migrate", "--verbosity", "0")
    django.call("shop.settings", folder, "shop.stock", _KEEPER, words.PASSWORD)


def _serve(folder: Path) -> AbstractContextManager[str]:
    return django.serving_site("shop.settings", folder)


def _look(page: Page) -> None:
    for path in ("/", "/catalogue/", f"/catalogue/{_PRODUCTS[0]}/", "/offers/", "/basket/", "/accounts/login/"):
        page.goto(f"{SITE}{path}")
    page.goto(f"{SITE}/catalogue/")
    page.click(".side_categories a >> text=Lamps")
    page.wait_for_url("**/category/**")


def _search(number: int) -> Step:
    asked = _SEARCHES[number]

    def search(page: Page) -> None:
        steps.search(page, "/", "#id_q", asked, "**/search/?q=*")

    return f"search: {asked}", search


def _register(page: Page) -> None:
    page.goto(f"{SITE}/accounts/login/?next=/catalogue/{_PRODUCTS[0]}/")
    steps.fill(
        page,
        {
            "#id_registration-email": _CUSTOMER,
            "#id_registration-password1": words.STRONG_PASSWORD,
            "#id_registration-password2": words.STRONG_PASSWORD,
        },
    )
    page.click("#register_form button[type=submit]")
    page.wait_for_selector("text=Thanks for registering")


def _name(page: Page) -> None:
    page.goto(f"{SITE}/accounts/profile/edit/")
    steps.fill(page, {"#id_first_name": "Zoë", "#id_last_name": "O'Brien & Söhne"})
    page.click("#profile_form button[type=submit]")
    page.wait_for_selector("text=Profile updated")


def _review(number: int) -> Step:
    title, body = _REVIEWS[number]

    def review(page: Page) -> None:
        page.goto(f"{SITE}/catalogue/{_PRODUCTS[number]}/reviews/add/")
        page.fill("#id_title", title)
        page.click(".reviewrating .star-rating i:nth-child(4)")
        page.fill("#id_body", body)
        page.click("#add_review_form button[type=submit]")
        page.wait_for_selector("text=Thank you for reviewing this product")

    return f"review: {title}", review


def _wish(page: Page) -> None:
    page.goto(f"{SITE}/accounts/wishlists/create/")
    page.fill("#id_name", "Zoë's list: lamps & rope (x2); see <b>above</b>")
    page.click("button[data-loading-text='Saving...']")
    page.wait_for_selector("text=Your wishlist has been created")


def _fill_basket(page: Page) -> None:
    for product in _PRODUCTS[:3]:
        page.goto(f"{SITE}/catalogue/{product}/")
        page.click("#add_to_basket_form button")
        page.wait_for_selector("text=has been added to your basket")


def _voucher(page: Page) -> None:
    page.goto(f"{SITE}/basket/")
    page.click("#voucher_form_link a")
    page.fill("#id_code", "WINTER'26 -- 10%")
    page.click("#voucher_form button")
    page.wait_for_selector("text=No voucher found")


def _check_out(page: Page) -> None:
    page.goto(f"{SITE}/checkout/")
    page.wait_for_selector("#new_shipping_address")
    page.select_option("#id_country", label="Germany")
    steps.fill(
        page,
        {
            "#id_first_name": "Zoë",
            "#id_last_name": "O'Brien-Świątek",
            "#id_line1": "Am Alten Markt 5; 2. Stock",
            "#id_line2": "c/o Müller & Söhne GmbH",
            "#id_line4": "Köln",
            "#id_postcode": "50667",
            "#id_phone_number": "+49 221 2210",
            "#id_notes": "Ring twice; if nobody's in, leave it with no. 7 -- or call: 0221/2210 (from 9 to 5).",
        },
    )
    page.click("#new_shipping_address button[type=submit]")
    page.click("#view_preview")
    page.wait_for_url("**/checkout/preview/")
    page.click("#place_order_form button[type=submit]")
    page.wait_for_url("**/checkout/thank-you/")


def _change_password(page: Page) -> None:
    page.goto(f"{SITE}/accounts/change-password/")
    new = words.STRONG_PASSWORD[::-1]
    steps.fill(
        page,
        {"#id_old_password": words.STRONG_PASSWORD, "#id_new_password1": new, "#id_new_password2": new},
    )
    page.click("button[data-loading-text='Saving...']")
    page.wait_for_selector("text=Password updated")


def _log_in_as_keeper(page: Page) -> None:
    page.context.clear_cookies()
    page.goto(f"{SITE}/dashboard/")
    page.fill("#dashboard_login_form [name=username]", _KEEPER)
    page.fill("#dashboard_login_form [name=password]", words.PASSWORD)
    page.press("#dashboard_login_form [name=password]", "Enter")
    page.wait_for_url("**/dashboard/")


def _write(page: Page, field: str, text: str) -> None:
    """Writes into the editor of rich text that stands in the place of a field."""
    body = page.frame_locator(f"#{field}_ifr").locator("body")
    body.click()
    steps.write(page, text)
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+B")


def _new_product(page: Page) -> None:
    page.goto(f"{SITE}/dashboard/catalogue/products/create/things/")
    page.fill("#id_title", "Lamp 'Göteborg' -- 60 W & \"dimmable\"")
    page.fill("#id_upc", "L-60/2")
    _write(page, "id_description", words.PROSE)
    page.click("a[href='#product_category']")
    page.select_option("[name=productcategory_set-0-category]", index=1)
    page.click("a[href='#product_images']")
    steps.upload(page, "#id_images-0-original", "lamp (new) 'a'.png", "image/png", words.picture())
    page.fill("#id_images-0-caption", "It's lit; <1 W on standby")
    page.click("a[href='#product_stock']")
    page.select_option("[name=stockrecords-0-partner]", index=1)
    stock = {"partner_sku": "L-60", "num_in_stock": "12", "price": "49.90"}
    steps.fill(page, {f"[name=stockrecords-0-{name}]": value for name, value in stock.items()})
    page.click("button[name=action][value=save]")
    page.wait_for_selector("text=Created product")


def _edit_product(number: int, text: str) -> Step:
    def edit(page: Page) -> None:
        page.goto(f"{SITE}/dashboard/catalogue/products/{number}/")
        _write(page, "id_description", text)
        page.click("button[name=action][value=save]")
        page.wait_for_selector("text=Updated product")

    return f"describe a product: {text.splitlines()[0]}", edit


def _page(page: Page) -> None:
    page.goto(f"{SITE}/dashboard/pages/create/")
    page.fill("#id_title", "Terms & conditions -- what you've signed")
    page.fill("#id_url", "/terms/")
    _write(page, "id_content", words.PROSE)
    page.click("#create_update_page_form button[type=submit]")
    page.wait_for_url("**/dashboard/pages/")
    page.goto(f"{SITE}/terms/")


def _approve(page: Page) -> None:
    page.goto(f"{SITE}/dashboard/reviews/?keyword=it%27s&status=0&date_from=&date_to=&name=O%27Brien")
    page.goto(f"{SITE}/dashboard/reviews/1/")
    page.fill("#id_title", "It's bright [edited]")
    page.select_option("#id_status", index=1)
    page.click("button[data-loading-text='Saving...']")
    page.wait_for_url("**/dashboard/reviews/")


def _note(page: Page) -> None:
    page.goto(f"{SITE}/dashboard/orders/")
    page.click("td a[href*='/dashboard/orders/1'] >> nth=0")
    page.click("a[href='#notes']")
    page.fill("#id_message", f"Called; she'd like it on Friday (before 12).\n{words.TRACE}")
    page.click("#order_note_form input[type=submit]")
    page.wait_for_selector("text=Note saved")


def _administer(page: Page) -> None:
    page.goto(f"{SITE}/admin/auth/user/add/")
    password = words.STRONG_PASSWORD
    steps.fill(page, {"#id_username": "zoë@shop+1", "#id_password1": password, "#id_password2": password})
    page.click("input[name=_save]")
    page.wait_for_selector("text=was added successfully")
    page.goto(f"{SITE}/admin/catalogue/product/?q=o%27slo+%26+%22lamp%22&is_discountable__exact=1")
    page.goto(f"{SITE}/admin/flatpages/flatpage/add/")
    steps.fill(page, {"#id_url": "/how-to/", "#id_title": "How to embed us", "#id_content": words.HTML})
    page.select_option("#id_sites", index=0)
    page.click("input[name=_save]")
    page.wait_for_selector("text=was added successfully")


OSCAR: Final = Application(
    "oscar",
    "a shop: registration, searches, reviews, wishes, check-out; a shopkeeper's products, pages, pictures and notes",
    _make,
    _serve,
    (
        ("look around", _look),
        *(_search(number) for number in range(len(_SEARCHES))),
        ("register", _register),
        ("say one's name", _name),
        *(_review(number) for number in range(len(_REVIEWS))),
        ("make a list of wishes", _wish),
        ("fill the basket", _fill_basket),
        ("try a voucher", _voucher),
        ("check out", _check_out),
        ("change the password", _change_password),
        ("log in as the shopkeeper", _log_in_as_keeper),
        ("offer a new product with a picture", _new_product),
        _edit_product(1, words.PROSE),
        _edit_product(2, words.HTML),
        ("write a page", _page),
        ("approve a review", _approve),
        ("note on an order", _note),
        ("administer users and pages", _administer),
    ),
)
