"""The sender alone: whose certificate it believes, and what it takes along."""

import pytest

from tests.integration.notifications.certificates import Identity, make_identity
from tests.integration.notifications.receiver import SECRET, Receiver, Reply, receiving
from worker.notifying import Answer, Endpoint, Letter, Sender

LETTER = Letter("msg_1", 1_773_489_600, b'{"data":{"subject":"s","version":1},"type":"t"}')


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make_identity(tmp_path_factory.mktemp("identity"))


def test_a_certificate_nobody_vouches_for_gets_nothing(identity: Identity) -> None:
    with receiving(identity.server) as receiver:
        with Sender(Endpoint(receiver.url, (SECRET,))) as sender:
            assert sender.send([LETTER]) == [Answer(None, failure="TLS failed")]
        assert receiver.deliveries == []


def test_a_certificate_that_is_vouched_for_but_names_another_host_gets_nothing(identity: Identity) -> None:
    with receiving(identity.server) as receiver:
        url = receiver.url.replace("127.0.0.1", "localhost")
        with Sender(Endpoint(url, (SECRET,)), authorities=identity.trusting) as sender:
            assert sender.send([LETTER]) == [Answer(None, failure="TLS failed")]
        assert receiver.deliveries == []


def test_a_certificate_that_is_vouched_for_is_believed(identity: Identity) -> None:
    with receiving(identity.server) as receiver:
        with Sender(Endpoint(receiver.url, (SECRET,)), authorities=identity.trusting) as sender:
            assert sender.send([LETTER]) == [Answer(204)]
        assert receiver.deliveries[0].verified()


def test_the_answer_is_status_and_retry_after(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(503, {"retry-after": "7"}, b"sorry")
    with Sender(Endpoint(receiver.url, (SECRET,))) as sender:
        assert sender.send([LETTER]) == [Answer(503, "7")]


def test_no_proxy_of_the_environment_sees_the_letters(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with Sender(Endpoint(receiver.url, (SECRET,))) as sender:
            assert sender.send([LETTER]) == [Answer(204)]
        assert proxy.deliveries == []


def test_a_receiver_s_cookies_are_not_brought_back(receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(204, {"set-cookie": "who=you"})
    with Sender(Endpoint(receiver.url, (SECRET,))) as sender:
        sender.send([LETTER])
        sender.send([LETTER])
    assert ["cookie" in one.headers for one in receiver.deliveries] == [False, False]


def test_one_letter_that_cannot_be_sent_costs_the_others_nothing(receiver: Receiver) -> None:
    unsendable = Letter("not.an.id", LETTER.timestamp, b"{}")
    with Sender(Endpoint(receiver.url, (SECRET,))) as sender:
        assert sender.send([unsendable, LETTER]) == [
            Answer(None, failure="no answer: ValueError"), Answer(204)
        ]  # fmt: skip
