from pathlib import Path

from skerry.host.network.names import Names, router_port, tap_name


def test_two_state_folders_share_no_name(tmp_path: Path) -> None:
    one, two = Names.of(tmp_path / "one"), Names.of(tmp_path / "two")
    assert one.prefix != two.prefix
    assert one.runtime != two.runtime


def test_the_way_a_state_folder_is_written_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert Names.of(tmp_path / "link" / "state") == Names.of(tmp_path / "x" / ".." / "state")


def test_links_have_names_the_kernel_takes() -> None:
    assert tap_name("0123456789abcdef") == "t-01234567"
    assert router_port("0123456789abcdef") == "v-01234567"
