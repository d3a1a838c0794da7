"""SSH goes to port 22 of the guest's address, or to the port aside that this host's own server leaves."""

import socket

from skerry.cli import ssh


def test_ssh_goes_to_its_own_port() -> None:
    assert ssh.options_of_port("127.77.0.1") == []


def test_ssh_goes_aside_where_the_forwarder_had_to() -> None:
    with socket.socket() as aside:
        aside.bind(("127.77.0.2", ssh.PORT_ASIDE))
        aside.listen()
        assert ssh.options_of_port("127.77.0.2") == ["-p", "20022"]
