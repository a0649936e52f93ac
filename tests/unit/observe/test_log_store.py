"""The log store and the live tail."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import pytest

from lambdalite.observe.intake import BATCH, HEAVY, Intake
from lambdalite.observe.logs import RECORD_BYTES, LogEvent, LogStatistics, LogStore
from lambdalite.observe.observatory import Observatory
from lambdalite.observe.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambdalite.model.outcome import Outcome

    Make = Callable[..., Outcome]

STARTED_AT = 1_793_613_600.0
MS = int(STARTED_AT * 1000)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_groups_and_streams(make: Make) -> None:
    """Groups are AWS's names, sorted; streams come in the order of their first invocation."""
    store = LogStore()
    for name, stream in (("b", "s2"), ("a", "s1"), ("b", "s1"), ("b", "s2")):
        store.append(make(name=name, log_stream=stream))

    assert ["/aws/lambda/a", "/aws/lambda/b"] == store.groups()
    assert ["s2", "s1"] == store.streams("b")
    assert ["s2", "s1"] == store.streams("/aws/lambda/b")


def test_events_carry_time_stream_and_request(make: Make) -> None:
    """Each line is an event; START at the start, END and REPORT at the end."""
    store = LogStore()
    outcome = make(output=b"hello\n")
    store.append(outcome)

    assert [
        LogEvent(MS, "START RequestId: id-1 Version: $LATEST", "stream-1", "id-1"),
        LogEvent(MS, "hello", "stream-1", "id-1"),
        LogEvent(MS + 12, "END RequestId: id-1", "stream-1", "id-1"),
        LogEvent(MS + 12, str(outcome.report), "stream-1", "id-1"),
    ] == store.events("f")


def test_events_are_selected(make: Make) -> None:
    """By stream, by time and by text."""
    store = LogStore()
    store.append(make(output=b"one\n", log_stream="a"))
    store.append(make(output=b"two\n", log_stream="b", started_at=STARTED_AT + 10))

    assert ["one"] == [event.message for event in store.events("f", "a", contains="o")][1:2]
    assert ["two"] == [event.message for event in store.events("f", since=STARTED_AT + 5, contains="two")]
    assert {"a"} == {event.stream for event in store.events("f", until=STARTED_AT + 10)}


def test_events_of_two_environments_are_sorted_by_time(make: Make) -> None:
    """An invocation that began earlier and ended later stands around the other."""
    store = LogStore()
    store.append(make(request_id="inner", started_at=STARTED_AT + 1, duration=1.0))
    store.append(make(request_id="outer", started_at=STARTED_AT, duration=3.0))

    assert ["outer", "inner", "inner", "inner", "outer", "outer"] == [event.request_id for event in store.events("f")]


def test_unknown_group_has_no_logs() -> None:
    """Asking for what never ran is not an error."""
    store = LogStore()

    assert ([], [], "") == (store.events("x"), store.streams("x"), store.text("x"))


def test_text_of_a_function(make: Make) -> None:
    """A function, its name and its log group name the same log."""
    store = LogStore()
    outcome = make(output=b"hello\n")
    store.append(outcome)

    assert outcome.log == store.text("f") == store("/aws/lambda/f") == store(outcome.version)


def test_full_store_drops_the_oldest_of_the_largest(make: Make) -> None:
    """A chatty function loses its own oldest logs, a quiet one none, and what was dropped is counted and said."""
    store = LogStore(limit_bytes=100_000)
    store.append(make(name="quiet", output=b"still here\n"))
    for number in range(200):
        store.append(make(name="chatty", request_id=f"id-{number}", output=b"x" * 1000 + b"\n"))
    found = store.statistics("chatty")

    assert "still here" in store.text("quiet")
    assert 200 == found.kept + found.dropped
    assert found.kept_bytes <= 100_000
    assert "id-199" == store.outcomes("chatty")[-1].request_id
    assert store.text("chatty").startswith(f"[lambdalite] logs of {found.dropped} earlier invocations dropped: ")


def test_outcome_larger_than_the_store_is_dropped(make: Make) -> None:
    """Even one log cannot break the bound."""
    store = LogStore(limit_bytes=2000)
    store.append(make(output=b"x" * 5000))

    assert LogStatistics(0, 0, 1, RECORD_BYTES + 5002) == store.statistics()


def test_large_answers_are_not_kept(make: Make) -> None:
    """A log has no use for a large answer; the outcome that the caller holds keeps it."""
    store = LogStore()
    outcome = make(payload=b"x" * 10_000)
    store.append(outcome)

    assert (b"", 10_000) == (store.outcomes("f")[0].payload, len(outcome.payload))


def test_clear_forgets(make: Make) -> None:
    """A cleared store is as new."""
    store = LogStore()
    store.append(make())
    store.clear()

    assert LogStatistics(0, 0, 0, 0) == store.statistics()


def test_outcomes_wait_until_somebody_reads(make: Make) -> None:
    """A batch is counted at once when it is full, and otherwise on reading."""
    taken: list[int] = []
    intake = Intake()
    intake.feed(lambda version, outcomes: taken.append(len(outcomes)))
    for _ in range(BATCH + 1):
        intake.put(make())
    before = list(taken)
    with intake:
        pass

    assert [BATCH] == before
    assert [BATCH, 1] == taken


def test_heavy_output_does_not_wait(make: Make) -> None:
    """An outcome with much output is counted at once, so that little memory waits."""
    taken: list[int] = []
    intake = Intake()
    intake.feed(lambda version, outcomes: taken.append(len(outcomes)))
    intake.put(make(output=b"x" * (HEAVY + 1)))

    assert [1] == taken


def test_put_never_waits_for_a_reader(make: Make) -> None:
    """While another thread reads, outcomes queue up, and none is lost."""
    store = LogStore()
    outcomes = [make() for _ in range(BATCH * 2)]

    def run() -> None:
        for outcome in outcomes:
            store.append(outcome)

    with store._intake:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join(10)
        finished = not thread.is_alive()

    assert finished
    assert BATCH * 2 == store.statistics().kept


def test_after_fork_a_lock_held_elsewhere_is_no_obstacle(make: Make) -> None:
    """A forked child gets new locks."""
    observatory = Observatory()
    observatory._intake._lock.acquire()
    observatory.after_fork()
    found: list[LogStatistics] = []
    thread = threading.Thread(target=lambda: found.append(observatory.logs.statistics()))
    thread.start()
    thread.join(10)

    assert [LogStatistics(0, 0, 0, 0)] == found


def test_follower_hears_a_whole_log_at_the_end(make: Make) -> None:
    """Where output is not passed on live, the log comes when the invocation ends."""
    observatory = Observatory()
    heard: list[tuple[bytes, str, str]] = []
    observatory.logs.follow(lambda *chunk: heard.append(chunk))
    outcome = make(output=b"hello\n")
    observatory.done(outcome)

    assert [(outcome.log.encode(), "f", "stream-1")] == heard


def test_follower_hears_live_output_once(make: Make) -> None:
    """Output passed on live is not repeated; END and REPORT follow on a line of their own."""
    observatory = Observatory()
    heard: list[bytes] = []
    observatory.logs.follow(lambda chunk, function, stream: heard.append(chunk))
    observatory.logs.live(b"hello", "f", "stream-1")
    outcome = make(output=b"hello")
    observatory.done(outcome)

    assert [b"hello", f"\nEND RequestId: id-1\n{outcome.report}\n".encode()] == heard


def test_follower_that_left_hears_nothing(make: Make) -> None:
    """The answer of `follow` ends it."""
    observatory = Observatory()
    heard: list[bytes] = []
    stop = observatory.logs.follow(lambda chunk, function, stream: heard.append(chunk))
    stop()
    observatory.done(make())
    observatory.logs.live(b"hello", "f", "stream-1")

    assert [] == heard


def test_tail_prints_whole_lines_behind_the_name() -> None:
    """Partial lines wait for their end; streams do not mix."""
    stream = io.StringIO()
    tail = Tail(stream)
    tail(b"one\ntw", "f", "s1")
    tail(b"other\n", "f", "s2")
    tail(b"o\nrest", "f", "s1")
    before = stream.getvalue()
    tail.flush()

    assert "f | one\nf | other\nf | two\n" == before
    assert "f | one\nf | other\nf | two\nf | rest\n" == stream.getvalue()


def test_tail_prints_endless_lines_in_pieces() -> None:
    """A line without an end is not collected for ever."""
    stream = io.StringIO()
    tail = Tail(stream)
    tail(b"x" * 70_000, "f", "s")

    assert "f | " + "x" * 70_000 + "\n" == stream.getvalue()


def test_tail_keeps_bytes_in_a_file() -> None:
    """Into a file goes what was printed, escape sequences too, and no colour."""
    stream = io.StringIO()
    Tail(stream, {})(b"\x1b[31mred\n", "f", "s")

    assert "f | \x1b[31mred\n" == stream.getvalue()


def test_tail_colours_the_prefix_on_a_terminal() -> None:
    """On a terminal the prefix has a colour, and the handler's own sequences are gone."""
    stream = Terminal()
    Tail(stream, {})(b"\x1b[31mred\x1b[2J\n", "f", "s")
    prefix, _, line = stream.getvalue().partition("f | ")

    assert prefix.startswith("\x1b[")
    assert "\x1b[0mred\n" == line


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    ids=str,
)
def test_tail_honours_no_color(environment: dict[str, str], coloured: bool) -> None:
    """NO_COLOR with any value but the empty one forbids colour, and so does a terminal that knows none."""
    stream = Terminal()
    Tail(stream, environment)(b"text\n", "f", "s")

    assert coloured == ("\x1b" in stream.getvalue())


def test_tail_without_standard_error_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without standard error has nobody to show logs to."""
    monkeypatch.setattr("sys.stderr", None)

    assert None is Tail()(b"text\n", "f", "s")
