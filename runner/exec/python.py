# Makes the environment that a task asks for, unless it is there, and becomes the task's command.
# It runs as the task, in all that keeps the task apart: what is installed may run anything.
#
# An environment is built under the name that it keeps, for its scripts say where they are, and
# is not there before a link is renamed to lead to it. One lock is for building, and one for
# using: the latter is held by the task for as long as it runs. What was built half is removed, by
# who has failed or, where that one was killed, by the next who builds anything.
import fcntl, hashlib, json, os, re, secrets, shutil, signal, subprocess, sys, time

ASKED, COMMAND = json.loads(os.environ.pop("MN_PYTHON_ASKED")), sys.argv[1:]
BASE, WORK = ASKED["cache"], ASKED["work"]
KEPT_MAX, BYTES_MAX = 8, 20 << 30  # environments that are kept here, besides those in use
ABOUT = "import os,platform,sys,sysconfig as s; print(os.path.realpath(sys.executable), sys.version.split()[0], s.get_platform(), platform.python_implementation())"
PLAIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*([<>=!~;(].*|@\s*(git\+)?https?://.*)?$")
SETTING = re.compile(r"^(--index-url|--extra-index-url|-i|--hash|--pre|--no-binary|--only-binary|--prefer-binary|--require-hashes|--trusted-host)\b")
ARCHIVE = re.compile(r"\.(whl|zip|tgz|tbz|txz|tlz|tar(\.[a-z0-9]+)?)(?=[\s;\[#]|$)", re.I)
LEFT = 3600  # seconds after which a link that leads nowhere yet never will
BUILT = re.compile("[0-9a-f]{32}-[0-9a-f]{8}")
building, child = None, None


def say(text):
    print("mn:", text, file=sys.stderr, flush=True)


def fail(why):
    say("no python environment: " + why)
    try:
        fd = os.open(ASKED["failed"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        os.write(fd, why.encode(errors="replace")[:512])
    except OSError as err:
        say(str(err))
    if child:
        child.kill()
    if building:
        shutil.rmtree(building, ignore_errors=True)
    os._exit(ASKED["exit"])


def late(*_):
    fail("it was not ready within %s: set setup_timeout, if it takes so long" % ASKED["timeout_text"])


def run(args, what):
    global child
    try:
        child = subprocess.Popen(args, cwd=WORK, stdin=subprocess.DEVNULL, stdout=2)
        code = child.wait()
    except OSError as err:
        fail("%s: %s" % (what, err))
    child = None
    if code != 0:
        fail("%s has failed with code %d: its log says why" % (what, code))


def is_version(text):
    return text == ASKED["version"] or text.startswith(ASKED["version"] + ".")


def interpreter():
    """The program, what it is, and uv if that is there."""
    uv, want = shutil.which("uv"), ASKED["version"]
    for program in [sys.executable, shutil.which("python" + want) if want else None]:
        if not program:
            continue
        asked = subprocess.run([program, "-I", "-c", ABOUT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        about = asked.stdout.decode(errors="replace").strip()
        if asked.returncode == 0 and (not want or is_version(about.split(" ")[1])):
            return program, about, uv
    if uv:
        return want, "uv " + want, uv
    fail("this node has no python %s, and no uv to get it with: install one of them, or leave version out" % want)


def requirements():
    if not ASKED["requirements"]:
        return b""
    try:
        with open(os.path.join(WORK, ASKED["requirements"]), "rb") as f:
            text = f.read((1 << 20) + 1)
    except OSError as err:
        fail("read requirements: %s" % err)
    if len(text) > 1 << 20:
        fail("%s is longer than 1 MiB" % ASKED["requirements"])
    return text


def local(text):
    """Whether more than what is written decides about what is installed: files of the task."""
    lines = text.decode(errors="replace").replace("\\\n", " ").splitlines() + ASKED["packages"]
    lines = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in lines]
    if any(line and (not PLAIN.match(line) or ARCHIVE.search(line)) and not SETTING.match(line) for line in lines):
        return True
    return any(os.path.exists(os.path.join(WORK, part)) for _, value in settings() for part in value.split())


def settings():
    """The variables that installers read: others who have other ones get something else."""
    return sorted((k, v) for k, v in os.environ.items() if k.startswith(("PIP_", "UV_")))


def use(link):
    """The environment that a link leads to, held; None if there is none."""
    try:
        name = os.readlink(link)
        held = os.open(os.path.join(BASE, name, "mn-in-use"), os.O_RDWR)
    except OSError:
        return None
    fcntl.flock(held, fcntl.LOCK_SH)  # it may be removed just now
    env = os.path.join(BASE, name)
    if not os.path.exists(os.path.join(env, "mn-in-use")) or not os.access(os.path.join(env, "bin", "python"), os.X_OK):
        os.close(held)
        return None
    os.utime(env)
    os.set_inheritable(held, True)
    return env


def take(key, wait):
    """The lock for building of a key; None if somebody else has it. Its file may be removed by who has it."""
    path = os.path.join(BASE, key + ".lock")
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except FileNotFoundError:
            pass  # removed while we waited
        os.close(lock)


def build(key, link, program, uv):
    global building
    for left in os.listdir(BASE):  # by tasks that were killed: the lock says that nobody builds
        if left.startswith(key + "-"):
            drop(left)
    env = building = os.path.join(BASE, key + "-" + secrets.token_hex(4))
    say("making the python environment")
    wanted = (["-r", ASKED["requirements"]] if ASKED["requirements"] else []) + ASKED["packages"]
    if uv:
        run([uv, "venv", "--quiet", "--no-project", "--python", program, env], "uv venv")
        install = [uv, "pip", "install", "--no-cache", "--python", os.path.join(env, "bin", "python")]
    else:
        run([program, "-I", "-m", "venv", env], "python3 -m venv (its package may be called python3-venv)")
        install = [os.path.join(env, "bin", "python"), "-I", "-m", "pip", "install", "--disable-pip-version-check",
                   "--no-input", "--no-cache-dir"]
    if wanted:
        run(install + wanted, "uv pip install" if uv else "pip install")
    size = sum(os.lstat(os.path.join(at, f)).st_size for at, _, files in os.walk(env) for f in files)
    with open(os.path.join(env, "mn-in-use"), "w") as f:
        f.write(str(size))
    os.sync()
    fresh = os.path.join(BASE, "link-" + secrets.token_hex(4))
    os.symlink(os.path.basename(env), fresh)
    os.rename(fresh, link)
    building = None


def drop(name):
    """Removes an environment, and says so, unless a task runs in it."""
    env = os.path.join(BASE, name)
    held = None
    try:
        held = os.open(os.path.join(env, "mn-in-use"), os.O_RDWR)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return False
    except OSError:
        pass  # it was never whole
    shutil.rmtree(env, ignore_errors=True)
    if held is not None:
        os.close(held)
    return True


def forget(name):
    """Removes an environment, if there is one, with its link and lock, unless somebody uses or builds it."""
    key = name[:32]
    lock = take(key, False)
    if lock is None:
        return
    link = os.path.join(BASE, key)
    if (not BUILT.fullmatch(name) or drop(name)) and not os.path.exists(link):
        for gone in (link, link + ".lock"):
            try:
                os.unlink(gone)
            except FileNotFoundError:
                pass
    os.close(lock)


def changed(path):
    """When it was, or nothing if it is no more."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0


def prune(mine):
    """Gives back the room of what was not used for the longest time, and of what was never whole."""
    one = take("prune", False)
    if one is None:
        return  # somebody else does so
    kept, size = 0, 0
    names = os.listdir(BASE)
    found = sorted((n for n in names if BUILT.fullmatch(n)), key=lambda n: changed(os.path.join(BASE, n)), reverse=True)
    for name in found:
        try:
            with open(os.path.join(BASE, name, "mn-in-use")) as f:
                size += int(f.read(20) or 0)
            kept, whole = kept + 1, True
        except (OSError, ValueError):
            whole = False
        if name != mine and (not whole or kept > KEPT_MAX or size > BYTES_MAX):
            forget(name)
    keys = {name[:32] for name in found}
    for name in names:
        path = os.path.join(BASE, name)
        if re.fullmatch(r"[0-9a-f]{32}(\.lock)?", name) and name[:32] not in keys:
            forget(name)  # what is left of builds that have failed
        if name.startswith("link-") and os.path.islink(path) and time.time() - changed(path) > LEFT:
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
    os.close(one)


def main():
    signal.signal(signal.SIGALRM, late)
    signal.alarm(ASKED["timeout"])
    program, about, uv = interpreter()
    text = requirements()
    about = [about, bool(uv), text.decode("latin-1"), ASKED["packages"], ASKED["local"] if local(text) else "", settings()]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
    link, lock = os.path.join(BASE, key), take(key, True)
    env = use(link)
    if not env:
        build(key, link, program, uv)
        env = use(link)
        prune(os.path.basename(env or ""))
    os.close(lock)
    signal.alarm(0)
    if not env:
        fail("it was removed as soon as it was made")
    os.environ["VIRTUAL_ENV"] = env
    os.environ["PATH"] = os.path.join(env, "bin") + os.pathsep + os.environ.get("PATH", os.defpath)
    os.environ.pop("PYTHONHOME", None)
    for ignored in (signal.SIGALRM, signal.SIGPIPE, signal.SIGXFSZ):  # python does, and a program does not
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvpe(COMMAND[0], COMMAND, os.environ)
    except OSError as err:
        fail("start %s: %s" % (COMMAND[0], err))


try:
    main()
except Exception as err:
    fail("%s: %s" % (type(err).__name__, err))
