"""The parent of the workers: it listens, starts them, and sees to it that they are there. It takes no request, and has
no loop and no thread, so that it can fork whenever it has to.

All workers accept from the same sockets: what waits to be accepted when one dies is the others'.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import structlog

from gateway.system import bind, told_to_stop
from gateway.workers.seat import ALIVE, DRAIN, DRAINED, READY, STOP, Seat
from gateway.workers.supervision import Announce, Drain, Exit, Kill, Order, Release, Start, Stop, Supervision

if TYPE_CHECKING:
    from gateway.settings import Settings

log = structlog.get_logger(__name__)

MULTIPROC = "PROMETHEUS_MULTIPROC_DIR"

MAX_PATH = 107
"""Bytes of the name of a Unix socket."""

LONGEST = "/trunkline-12345678/255.sockets"


def supervise(settings: Settings, work: Callable[[Seat], int], announce: Callable[[str], None]) -> int:
    """Run the workers until a signal ends them; returns the exit status. ``work`` is a worker, in a process of its own.
    ``announce`` gets the URL once all are ready. Raises OSError where nothing can be listened on.

    To be called before anything of the service is imported that has metrics.
    """
    with ExitStack() as stack:
        listening = bind(settings.host, settings.port)
        for one in listening:
            stack.callback(one.close)
        for one in listening:
            one.listen()
        directory = stack.enter_context(_folder())
        os.environ[MULTIPROC] = str(_metrics_folder(settings.prometheus_multiproc_dir or directory / "metrics"))
        return _Parent(settings, work, announce, listening, directory).run()


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary one of our own user, for sockets."""
    root = tempfile.gettempdir()
    if len(os.fsencode(root)) + len(LONGEST) > MAX_PATH:
        root = "/tmp"  # noqa: S108 - what is made in it is ours alone
    made = tempfile.mkdtemp(prefix="trunkline-", dir=root)
    try:
        yield Path(made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _metrics_folder(path: Path) -> Path:
    """Without what former workers left in it, which would be counted. Raises OSError."""
    path.mkdir(parents=True, exist_ok=True)
    for left in path.glob("*.db"):
        left.unlink(missing_ok=True)
    return path.resolve()


class _Child:
    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self.control = control


class _Parent:
    def __init__(
        self,
        settings: Settings,
        work: Callable[[Seat], int],
        announce: Callable[[str], None],
        listening: Sequence[socket.socket],
        directory: Path,
    ) -> None:
        self._workers = settings.workers
        self._work = work
        self._announce = announce
        self._listening = listening
        self._directory = directory
        self._core = Supervision(settings.workers, settings.drain_seconds)
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._status: int | None = None

    def run(self) -> int:
        awake, wake = socket.socketpair()
        with awake, wake, self._selector, self._heeding(wake):
            awake.setblocking(False)
            self._selector.register(awake, selectors.EVENT_READ, None)
            self._obey(self._core.begin(time.monotonic()))
            while self._status is None:
                due = self._core.due
                timeout = None if due is None else max(0.0, due - time.monotonic())
                for key, _ in self._selector.select(timeout):
                    if key.data is None:
                        self._heed(awake)
                    else:
                        self._hear(key.data)
                self._obey(self._core.tick(time.monotonic()))
            return self._status

    @contextmanager
    def _heeding(self, wake: socket.socket) -> Iterator[None]:
        """Signals wake the loop; what they were is in :attr:`_signals`."""
        wake.setblocking(False)
        numbers = (*told_to_stop(), signal.SIGCHLD)
        before = [signal.signal(number, lambda number, _: self._signals.append(number)) for number in numbers]
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def _heed(self, awake: socket.socket) -> None:
        with suppress(BlockingIOError):
            awake.recv(4096)
        while self._signals:
            if self._signals.pop(0) == signal.SIGCHLD:
                self._bury()
            else:
                self._obey(self._core.signalled(time.monotonic()))

    def _hear(self, slot: int) -> None:
        """What a worker says; its death is told by SIGCHLD."""
        if slot not in self._children:
            return  # it has been buried since
        control = self._children[slot].control
        try:
            told = control.recv(64)
        except BlockingIOError:
            return
        except OSError:
            told = b""
        if not told:
            self._selector.unregister(control)
        for one in told:
            now = time.monotonic()
            if one == ALIVE[0]:
                self._core.alive(slot, now)
            elif one == READY[0]:
                self._obey(self._core.ready(slot, now))
            elif one == DRAINED[0]:
                self._obey(self._core.drained(slot, now))

    def _bury(self) -> None:
        for slot, child in tuple(self._children.items()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            self._hear_the_rest(slot)
            del self._children[slot]
            child.control.close()
            _forget_gauges(pid)
            code = os.waitstatus_to_exitcode(status)
            if code:
                log.error("a worker is dead", worker=slot, process=pid, status=code)
            self._obey(self._core.died(slot, time.monotonic()))

    def _hear_the_rest(self, slot: int) -> None:
        control = self._children[slot].control
        if control in self._selector.get_map():
            self._hear(slot)
        with suppress(KeyError):
            self._selector.unregister(control)

    def _obey(self, orders: Sequence[Order]) -> None:
        for order in orders:
            match order:
                case Start(slot, again):
                    self._start(slot, again)
                case Drain(slot):
                    self._tell(slot, DRAIN)
                case Stop(slot):
                    self._tell(slot, STOP)
                case Release(slot):
                    with suppress(OSError):
                        self._children[slot].control.shutdown(socket.SHUT_WR)
                case Kill(slot):
                    log.error("a worker takes too long and is killed", worker=slot, process=self._children[slot].pid)
                    os.kill(self._children[slot].pid, signal.SIGKILL)
                case Announce():
                    host, port = self._listening[0].getsockname()[:2]
                    self._announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
                case Exit(status):
                    self._status = status
                case _:
                    assert_never(order)

    def _tell(self, slot: int, what: bytes) -> None:
        with suppress(OSError):  # it is dead, which will be known in a moment
            self._children[slot].control.send(what)

    def _start(self, slot: int, again: bool) -> None:
        ours, theirs = socket.socketpair()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        pid = os.fork()
        if pid == 0:
            self._be_a_worker(Seat(slot, self._workers, self._directory, self._listening, theirs, again), ours)
        theirs.close()
        ours.setblocking(False)
        self._children[slot] = _Child(pid, ours)
        self._selector.register(ours, selectors.EVENT_READ, slot)

    def _be_a_worker(self, seat: Seat, parents: socket.socket) -> None:
        """In the new process; never returns. Whatever of the parent's is closed: its ends of sockets tell the other
        workers that it is there."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number, handler in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGCHLD, signal.SIG_DFL)):
                signal.signal(number, handler)
            for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all, and the parent tells us
                signal.signal(number, signal.SIG_IGN)
            self._selector.close()
            for held in (parents, *(child.control for child in self._children.values())):
                held.close()
            status = self._work(seat)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:  # noqa: BLE001 - a process of its own: nobody is there to catch it
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            if _is_gone(seat.parent) and not any(seat.directory.glob("*.http")):
                shutil.rmtree(seat.directory, ignore_errors=True)  # the parent is gone, and the last worker goes
            os._exit(status)


def _is_gone(parent: socket.socket) -> bool:
    """Whether nobody is at the other end; one that only has nothing more to say is."""
    try:
        parent.send(ALIVE)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def _forget_gauges(pid: int) -> None:
    """What a dead worker had of what is now, such as calls under way. What it has counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]
