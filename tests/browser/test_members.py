"""An admin invites somebody; a stranger in another browser makes an account and is in the project."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PASSWORD, People, Site, log_in, refused

pytestmark = pytest.mark.browser


def test_a_stranger_comes_into_the_project_by_the_link_of_its_admin(site: Site, project: str, people: People) -> None:
    people.provokes(refused(404))
    admin = people.page()
    log_in(admin, site)
    admin.goto(f"{site.url}/projects/{project}/")
    admin.get_by_role("link", name="Members").click()
    admin.get_by_label("Role", exact=True).select_option("researcher")
    admin.get_by_role("button", name="Invite somebody").click()
    link = admin.get_by_label("The link, which is shown this once").input_value()

    stranger = people.page(java_script_enabled=False)
    stranger.goto(link)
    stranger.get_by_label("Username").fill("newcomer")
    stranger.get_by_label("Email").fill("new@example.org")
    for label in ("Password", "Password confirmation"):
        stranger.get_by_label(label, exact=True).fill(PASSWORD)
    stranger.get_by_role("button", name="Make the account and accept").click()
    expect(stranger.get_by_text("You are a member of the project now.")).to_be_visible()
    stranger.get_by_role("listitem").get_by_role("link").click()
    expect(stranger.get_by_role("link", name="Set up a study")).to_be_visible()
    expect(stranger.get_by_role("link", name="Members")).to_have_count(0)

    again = people.page()
    again.goto(link)
    expect(again.get_by_role("heading", name="This link opens nothing")).to_be_visible()
    admin.get_by_role("link", name="Back to the members").click()
    expect(admin.get_by_role("row", name="newcomer").get_by_role("combobox")).to_have_value("researcher")
