#!/usr/bin/env python3
"""Measures the kernels of one NVIDIA card for `flopcast calibrate --add` (README.md beside it).

  measure_card.py --mode smoke|full --total SECONDS [--sections a5,a2,...]     driver: spawns workers, watches budgets
  measure_card.py --worker a5,a2 --ends '{"a5":123.4}' --mode full             worker (spawned by the driver)
  measure_card.py --monitor                                                    NVML sampler (spawned by the driver)
  measure_card.py --warmcompile                                                fills the compile cache (smoke run only)
Results: $OUT/{kernels_raw.csv,monitor.csv,log.txt,meta.json,progress.txt,cache.tgz}
"""
import os, sys, time, json, csv, math, argparse, subprocess, traceback, gc, statistics
T00 = time.time()
OUT = os.environ.get("OUT", "out")
HERE = os.path.dirname(os.path.abspath(__file__))
CACHE = os.path.join(OUT, "cache")
DEV = os.environ.get("MEAS_DEV", "cuda")
DRY = DEV == "cpu"                      # dry run of the logic without a GPU (tests only)

BUDGET = [("a5", 10), ("a2", 58), ("a1", 56), ("a3", 32), ("a4", 70), ("a2f8", 26), ("a6", 58), ("a6g", 8)]
THIRD = ["a2", "a1", "a3", "a4", "a2f8", "a6s", "a7"]
THIRD_BUDGET = dict(a2=10, a1=14, a3=8, a4=20, a2f8=8, a6s=45, a7=28)
SMOKE_BUDGET = dict(a5=5, a2=8, a1=28, a3=7, a4=12, a2f8=6, a6=14)

KCOLS = ["section", "op", "shape", "dtype", "time_us", "bytes", "flops", "notes", "method", "l2", "reps", "p20_us", "p80_us", "t_unix", "sm_mhz"]
HCOLS = ["kind", "model", "config", "variant", "status", "fwd_ms", "bwd_ms", "opt_ms", "step_ms", "step_p20_ms", "step_p80_ms",
         "host_ms", "peak_alloc_gib", "peak_reserved_gib", "static_gib", "tokens", "params", "model_tflop", "reps", "notes", "t_unix"]


def log(*a):
    s = "[%7.1f] %s" % (time.time() - float(os.environ.get("MEAS_T0", T00)), " ".join(str(x) for x in a))
    print(s, flush=True)
    with open(os.path.join(OUT, "log.txt"), "a") as f:
        f.write(s + "\n")


class Sink:
    def __init__(s, name, cols):
        s.p = os.path.join(OUT, name); s.cols = cols
        if not os.path.exists(s.p):
            with open(s.p, "w") as f:
                csv.writer(f).writerow(cols)
        s.f = open(s.p, "a", buffering=1); s.w = csv.writer(s.f)

    def row(s, **k):
        k.setdefault("t_unix", "%.2f" % time.time())
        s.w.writerow([k.get(c, "") for c in s.cols]); s.f.flush()


# ------------------------------------------------------------------------------------------------ driver, monitor
def monitor():
    import pynvml as N
    N.nvmlInit(); h = N.nvmlDeviceGetHandleByIndex(0)
    f = open(os.path.join(OUT, "monitor.csv"), "a", buffering=1)
    f.write("t_unix,sm_mhz,mem_mhz,power_avg_w,power_inst_w,temp_c,energy_mj,reasons,mem_used_mib,mem_temp_c\n")

    def g(fn, d=""):
        try:
            return fn()
        except Exception:
            return d

    def fld(i):
        v = N.nvmlDeviceGetFieldValues(h, [i])[0]
        return v.value.uiVal if v.nvmlReturn == 0 else ""
    while True:
        t = time.time()
        r = [g(lambda: N.nvmlDeviceGetClockInfo(h, N.NVML_CLOCK_SM)), g(lambda: N.nvmlDeviceGetClockInfo(h, N.NVML_CLOCK_MEM)),
             g(lambda: N.nvmlDeviceGetPowerUsage(h) / 1000.0), g(lambda: fld(186) / 1000.0), g(lambda: N.nvmlDeviceGetTemperature(h, 0)),
             g(lambda: N.nvmlDeviceGetTotalEnergyConsumption(h)),
             g(lambda: hex((getattr(N, "nvmlDeviceGetCurrentClocksEventReasons", None) or N.nvmlDeviceGetCurrentClocksThrottleReasons)(h))),
             g(lambda: N.nvmlDeviceGetMemoryInfo(h).used >> 20), g(lambda: fld(82))]
        f.write("%.3f,%s\n" % (t, ",".join(str(x) for x in r)))
        time.sleep(max(0.02, 0.12 - (time.time() - t)))


def driver(a):
    os.makedirs(OUT, exist_ok=True)
    t0 = float(os.environ.setdefault("MEAS_T0", str(T00)))
    os.environ.update(PYTHONUNBUFFERED="1", TORCHINDUCTOR_CACHE_DIR=CACHE + "/ind", TRITON_CACHE_DIR=CACHE + "/tri",
                      TORCHINDUCTOR_FX_GRAPH_CACHE="1", TORCHINDUCTOR_AUTOGRAD_CACHE="1")
    os.makedirs(CACHE, exist_ok=True)
    tgz = os.path.join(HERE, "cache.tgz")
    if os.path.exists(tgz):
        r = subprocess.run(["tar", "xzf", tgz, "-C", CACHE]); log("cache restored rc", r.returncode)
    secs = [s for s, _ in BUDGET]
    if a.sections:
        secs = a.sections.split(",")
    bud = dict(BUDGET)
    if a.cool:
        os.environ["MEAS_COOL"] = "1"; bud.update(a2=62, a3=44, a2f8=34, a4=18)
    if a.third:
        secs = THIRD if not a.sections else secs; bud.update(THIRD_BUDGET); os.environ["MEAS_ONLY"] = os.path.join(HERE, "only.json")
    if a.mode == "smoke":
        bud.update(SMOKE_BUDGET); secs = [x for x in secs if x not in ("b1c", "a6g") or a.sections]
    tot = float(sum(bud.get(s, 30) for s in secs))
    avail = a.total - (time.time() - t0) - 16            # 16 s for imports and the end
    ends, c = {}, time.time() + 12
    for s in secs:
        c += bud.get(s, 30) * avail / tot; ends[s] = c
    hard = t0 + a.total - 3
    log("sections", secs, "scale %.2f" % (avail / tot))
    kids = []
    if DEV == "cuda":
        kids.append(subprocess.Popen([sys.executable, __file__, "--monitor"], stderr=subprocess.DEVNULL))
    warm = None
    if a.mode == "smoke" and DEV == "cuda" and not a.nowarm:
        warm = subprocess.Popen([sys.executable, __file__, "--warmcompile", "--mode", "smoke"], stdout=open(OUT + "/warm.txt", "w"), stderr=subprocess.STDOUT)
    prog = os.path.join(OUT, "progress.txt"); open(prog, "w").close()
    left = list(secs); tries = 0
    while left and time.time() < hard - 5 and tries < 9:
        tries += 1
        w = subprocess.Popen([sys.executable, __file__, "--worker", ",".join(left), "--ends", json.dumps(ends), "--mode", a.mode])
        while w.poll() is None:
            time.sleep(0.25)
            lines = open(prog).read().split("\n")
            cur = None
            for ln in lines:
                p = ln.split()
                if len(p) == 2 and p[0] == "start": cur = p[1]
                if len(p) == 2 and p[0] == "end" and cur == p[1]: cur = None
            now = time.time()
            if now > hard or (cur in ends and now > ends[cur] + 14):
                log("KILL worker in section", cur); w.kill(); w.wait()
                with open(prog, "a") as f: f.write("end %s\n" % cur)
        done = {ln.split()[1] for ln in open(prog).read().split("\n") if ln.startswith("start ")}
        if w.returncode == 0: break
        log("worker exit", w.returncode, "done", sorted(done))
        if not (done & set(left)): left = left[1:]          # died before starting anything
        left = [s for s in left if s not in done]
    if warm is not None:
        try:
            warm.wait(timeout=max(1, hard - time.time()))
        except Exception:
            warm.kill()
        log("warm compile rc", warm.returncode)
        try:
            log("warm tail:", open(OUT + "/warm.txt").read()[-1500:]); os.remove(OUT + "/warm.txt")
        except Exception:
            pass
    for k in kids:
        k.kill()
    if a.mode == "smoke" and DEV == "cuda":
        try:
            subprocess.run(["tar", "czf", OUT + "/cache.tgz", "-C", CACHE, "."], timeout=15)
            log("cache.tgz MiB %.1f" % (os.path.getsize(OUT + "/cache.tgz") / 2**20))
        except Exception as e:
            log("cache tar", e)
    log("driver end")


# ------------------------------------------------------------------------------------------------ worker basics
def setup():
    global torch, nn, F, K, SM, DL, triton, tl, S, POOLH, DUMMY, FLUSH, NVH, NVML
    if DEV != "cuda":
        sys.path.insert(0, os.environ["MEAS_SHIM"]); import shim
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    torch.set_grad_enabled(False)
    SM = MODE == "smoke"
    K = Sink("kernels_raw.csv", KCOLS)
    S = torch.cuda.Stream(); torch.cuda.set_stream(S)
    global BLAS0
    BLAS0 = torch.backends.cuda.preferred_blas_library()
    FLUSH = torch.empty(1 << 25, dtype=torch.int32, device=DEV)       # 128 MiB
    POOLH = DUMMY = None
    try:
        import pynvml as NVML
        NVML.nvmlInit(); NVH = NVML.nvmlDeviceGetHandleByIndex(0)
    except Exception as e:
        NVML = None; log("pynvml", e)


def Ev():
    return torch.cuda.Event(enable_timing=True)


def sync():
    torch.cuda.synchronize()


def spin(us):
    torch.cuda._sleep(int(us * 1700))


def new_pool():
    """a graph memory pool kept alive by a dummy graph, so that captures reuse its blocks"""
    global POOLH, DUMMY
    if DUMMY is not None:
        DUMMY.reset(); DUMMY = None
    gc.collect(); torch.cuda.empty_cache()
    POOLH = torch.cuda.graph_pool_handle()
    x = torch.ones(16, device=DEV); sync()
    g = torch.cuda.CUDAGraph()
    g.capture_begin(pool=POOLH, capture_error_mode="thread_local"); x.add_(1); g.capture_end()
    DUMMY = g


def capture(fn):
    g = torch.cuda.CUDAGraph()
    g.capture_begin(pool=POOLH, capture_error_mode="thread_local")
    try:
        fn()
    finally:
        g.capture_end()
    return g


def q(xs, p):
    xs = sorted(xs); return xs[min(len(xs) - 1, max(0, int(round(p * (len(xs) - 1)))))]


def res(ts, method):
    return dict(time_us=statistics.median(ts), p20=q(ts, .2), p80=q(ts, .8), reps=len(ts), method=method)


GRAPH_FAIL = {}
ONLY = None


def shs(shape):
    return " ".join("%s=%s" % kv for kv in shape.items())


def want(op, shape):
    """third run: only the rows listed in only.json"""
    global ONLY
    if not os.environ.get("MEAS_ONLY"): return True
    if ONLY is None: ONLY = {tuple(x) for x in json.load(open(os.environ["MEAS_ONLY"]))}
    return (op, shs(shape)) in ONLY


COOL = bool(os.environ.get("MEAS_COOL"))
LAST = [""]


def cool_wait():
    """fourth run: start each burst at full clock, so that compute-bound rows share one clock"""
    if not (COOL and NVML): return
    for _ in range(50):
        if NVML.nvmlDeviceGetClockInfo(NVH, NVML.NVML_CLOCK_SM) >= 1950: return
        time.sleep(0.004)


def clk():
    LAST[0] = NVML.nvmlDeviceGetClockInfo(NVH, NVML.NVML_CLOCK_SM) if COOL and NVML else ""


def bench(fns, **kw):
    """bench1 with retries: a stalled host shows as spread or as event timing of a short op"""
    best = None
    for t in range(1 if SM else 3):
        cool_wait(); tb = time.time()
        r = bench1(fns, **kw)
        if COOL: time.sleep(min(0.08, 1.0 * (time.time() - tb)))
        if best is None or (r["method"].startswith("graph"), -r["p80"] / max(r["p20"], 1e-9)) > (best["method"].startswith("graph"), -best["p80"] / max(best["p20"], 1e-9)): best = r
        noisy = r["p80"] > 1.10 * r["p20"] + 1.0 and r["time_us"] < 3000
        wrong = kw.get("graph", True) and r["method"] == "event" and r["p20"] < 270
        if not (noisy or wrong): break
    return best


def bench1(fns, graph=True, reps=20, maxms=120.0, minreps=5, flush=True, target_us=400.0, gmax_us=300.0, spin_us=60, key=None):
    """fns: callables on rotating buffer sets. Short ops: time per op inside a CUDA graph of many; long ones: event pairs."""
    if SM: reps, maxms, minreps = 3, 20.0, 2
    if COOL: reps, maxms, minreps = 16, min(maxms, 24.0), min(minreps, 4)
    n = len(fns)
    fns[0](); 
    if n > 1: fns[1]()
    e0, e1 = Ev(), Ev()
    def probe(k):
        spin(40 + 12 * k); e0.record()
        for i in range(k): fns[i % n]()
        e1.record(); sync()
        return max(e0.elapsed_time(e1) * 1e3 / k, 0.8)
    est = probe(1)
    if graph and est < 320: est = probe(12)
    if graph and est < gmax_us and GRAPH_FAIL.get(key, 0) < 3:
        try:
            nops = int(min(max(target_us / est, n, 4), 300))
            def many():
                for i in range(nops): fns[i % n]()
            g = capture(many)
            g.replay(); spin(30)
            evs = [Ev() for _ in range(reps + 1)]
            g.replay(); evs[0].record()
            for i in range(reps): g.replay(); evs[i + 1].record()
            clk(); sync()
            ts = [evs[i].elapsed_time(evs[i + 1]) * 1e3 / nops for i in range(reps)]
            g.reset()
            return dict(res(ts, "graph%d" % nops), clk=LAST[0])
        except Exception as e:
            log("graph capture failed", key, str(e)[:150]); GRAPH_FAIL[key] = GRAPH_FAIL.get(key, 0) + 1
            sync()
    reps = int(max(minreps, min(reps, maxms * 1e3 / est)))
    evs = [(Ev(), Ev()) for _ in range(reps)]
    for i in range(reps):
        if flush: FLUSH.fill_(i)
        spin(spin_us)
        evs[i][0].record(); fns[i % n](); evs[i][1].record()
    clk(); sync()
    return dict(res([a.elapsed_time(b) * 1e3 for a, b in evs], "event"), clk=LAST[0])


def emit(section, op, shape, dtype, r, by, fl, notes="", l2=""):
    K.row(section=section, op=op, shape=" ".join("%s=%s" % kv for kv in shape.items()), dtype=dtype, time_us="%.4g" % r["time_us"] if r["time_us"] < 1000 else "%.1f" % r["time_us"],
          bytes=int(by), flops=int(fl), notes=notes, method=r["method"], l2=l2, reps=r["reps"], p20_us="%.5g" % r["p20"], p80_us="%.5g" % r["p80"], sm_mhz=r.get("clk", ""))


class Pool:
    """one big random buffer from which inputs are cut as views (no generation cost per configuration)"""
    def __init__(s, nel, dtype=None, fill=True):
        dtype = dtype or torch.bfloat16
        if DRY: nel = min(nel, 1 << 24)
        s.t = torch.empty(nel, dtype=dtype, device=DEV); s.n = nel; s.off = 0
        if fill:
            for i in range(0, nel, 1 << 28): s.t[i:i + (1 << 28)].normal_()

    def take(s, *shape):
        n = 1
        for d in shape: n *= int(d)
        if n > s.n: raise ValueError("pool too small for %s" % (shape,))
        if s.off + n > s.n: s.off = 0
        v = s.t[s.off:s.off + n].view(shape)
        s.off += (n + 1023) // 1024 * 1024
        if s.off >= s.n: s.off = 0
        return v


def nsets(by, cap=16):
    return int(max(1, min(cap, math.ceil(160e6 / by))))


def l2tag(n, by):
    return "cold" if n * by >= 100e6 else "warm"


def pick(lst, keep=(0,)):
    """full run: everything; smoke: first, middle, last"""
    lst = list(lst)
    if DRY: return lst[:1]
    if not SM or len(lst) <= 2: return lst
    return [lst[0], lst[len(lst) // 2], lst[-1]]


def over(dl, what=""):
    if time.time() > dl:
        log("budget over at", what); return True
    return False


def relerr(a, b):
    a, b = a.float(), b.float()
    return float((a - b).norm() / (b.norm() + 1e-30))


# ------------------------------------------------------------------------------------------------ Triton kernels
def load_triton():
    """kernels live in a file of their own, since Triton reads source"""
    global TK, triton
    import triton
    sys.path.insert(0, HERE)
    import tkernels as TK


def t_rms(x, w, y):
    R, h = x.shape; B = triton.next_power_of_2(h)
    TK.k_rms[(R,)](x, w, y, h, 1e-5, B=B, num_warps=8 if B >= 4096 else 4)


def t_addrms(r, a, w, y):
    R, h = r.shape; B = triton.next_power_of_2(h)
    TK.k_addrms[(R,)](r, a, w, y, h, 1e-5, B=B, num_warps=8 if B >= 4096 else 4)


def t_swiglu(gu, y):
    T, Fd = y.shape; B = 2048 if Fd % 2048 == 0 else 1024
    TK.k_swiglu[(T, triton.cdiv(Fd, B))](gu, y, Fd, B=B, num_warps=4)


def t_swiglu_bwd(gu, dy, dgu):
    T, Fd = dy.shape; B = 2048 if Fd % 2048 == 0 else 1024
    TK.k_swiglu_bwd[(T, triton.cdiv(Fd, B))](gu, dy, dgu, Fd, B=B, num_warps=4)


def t_rope(x, cos, sin, NH, D):
    T = x.shape[0]; HB = triton.next_power_of_2(NH)
    TK.k_rope[(T,)](x, cos, sin, x.stride(0), NH, D2=D // 2, HB=HB, num_warps=4)


def t_cast8(x, y, s):
    G = x.numel() // 128
    TK.k_cast8[(triton.cdiv(G, 32),)](x, y, s, G, BG=32, num_warps=4)


def t_gather(x, idx, y):
    R, h = y.shape
    TK.k_gather[(R, triton.cdiv(h, 1024))](x, idx, y, h, B=1024, num_warps=4)


def t_unperm(y, pos, w, o, k):
    T, h = o.shape
    TK.k_unperm[(T, triton.cdiv(h, 1024))](y, pos, w, o, h, KK=k, B=1024, num_warps=4)


def t_pcopy(src, dst, nblk, iters, grid, B=16384, warps=32):
    TK.k_pcopy[(grid,)](src, dst, nblk, iters, B=B, num_warps=warps)


def t_pgemm(a, b, c, programs):
    M, Kd = a.shape; N = b.shape[0]
    TK.k_pgemm[(programs,)](a, b, c, M, N, Kd, BM=128, BN=256, BK=64, GM=8, num_warps=8, num_stages=4)


def t_transpose(x, y):
    R, C = x.shape
    TK.k_transpose[(triton.cdiv(R, 64), triton.cdiv(C, 64))](x, y, R, C, B=64, num_warps=4)


def check_triton():
    bf = torch.bfloat16
    out = []
    def ck(name, f):
        try:
            e = f(); out.append("%s %.1e%s" % (name, e, "" if e < 2e-2 else " BAD"))
        except Exception as ex:
            out.append("%s EXC %s" % (name, str(ex)[:200]))
    x = torch.randn(64, 4096, device=DEV).to(bf); w = torch.randn(4096, device=DEV).to(bf); y = torch.empty_like(x)
    ref = lambda x: x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5) * w.float()
    def f(): t_rms(x, w, y); return relerr(y, ref(x))
    ck("rms", f)
    def f():
        r = x.clone(); a = torch.randn_like(x); t_addrms(r, a, w, y); return max(relerr(y, ref((x + a))), relerr(r, x + a))
    ck("addrms", f)
    gu = torch.randn(64, 8192, device=DEV).to(bf); o = torch.empty(64, 4096, device=DEV, dtype=bf)
    def f(): t_swiglu(gu, o); g, u = gu.float().chunk(2, -1); return relerr(o, F.silu(g) * u)
    ck("swiglu", f)
    def f():
        dy = torch.randn_like(o); d = torch.empty_like(gu); t_swiglu_bwd(gu, dy, d)
        with torch.enable_grad():
            z = gu.float().requires_grad_(True); g, u = z.chunk(2, -1); (F.silu(g) * u).backward(dy.float())
        return relerr(d, z.grad)
    ck("swiglu_bwd", f)
    def f():
        qk = torch.randn(16, 48 * 128, device=DEV).to(bf); c, s = rope_cs(16, 128, torch.float32); z = qk.clone()
        t_rope(z, c, s, 40, 128)
        v = qk.float().view(16, 48, 128)[:, :40]; a, b = v[..., :64], v[..., 64:]; c1, s1 = c[:, None], s[:, None]
        rf = torch.cat([a * c1 - b * s1, b * c1 + a * s1], -1)
        return max(relerr(z.view(16, 48, 128)[:, :40], rf), relerr(z.view(16, 48, 128)[:, 40:], qk.view(16, 48, 128)[:, 40:]))
    ck("rope", f)
    def f():
        z = torch.empty(64, 4096, device=DEV, dtype=torch.float8_e4m3fn); s = torch.empty(64, 32, device=DEV); t_cast8(x, z, s)
        d = z.float().view(64, 32, 128) * s[..., None]; return relerr(d.view(64, 4096), x) / 3     # fp8 rounding is ~2.6 %
    ck("cast8", f)
    def f():
        i = torch.randint(0, 64, (200,), device=DEV); z = torch.empty(200, 4096, device=DEV, dtype=bf); t_gather(x, i, z); return relerr(z, x[i])
    ck("gather", f)
    def f():
        p = torch.randint(0, 64, (32, 8), device=DEV); ww = torch.rand(32, 8, device=DEV); z = torch.empty(32, 4096, device=DEV, dtype=bf)
        t_unperm(x, p, ww, z, 8); return relerr(z, (x[p].float() * ww[..., None]).sum(1))
    ck("unperm", f)
    def f():
        a = torch.randint(0, 1 << 30, (16384 * 37,), device=DEV, dtype=torch.int32); b = torch.zeros_like(a); t_pcopy(a, b, 37, 2, 20)
        return float((a != b).sum())
    ck("pcopy", f)
    def f():
        z = torch.empty(4096, 64, device=DEV, dtype=bf); t_transpose(x, z); return relerr(z, x.t())
    ck("transpose", f)
    log("triton check:", "; ".join(out))


def rope_cs(T, D, dt):
    t = torch.arange(T, device=DEV, dtype=torch.float32); inv = 500000.0 ** (-torch.arange(0, D, 2, device=DEV, dtype=torch.float32) / D)
    a = torch.outer(t, inv); return a.cos().to(dt), a.sin().to(dt)


# ------------------------------------------------------------------------------------------------ A5 launches
def a5(dl):
    sec = "A5"
    bf = torch.bfloat16
    x = torch.randn(1024, device=DEV); m = torch.randn(64, 64, device=DEV).to(bf); mo = torch.empty_like(m)
    w = torch.randn(1024, device=DEV).to(bf); xr = torch.randn(4, 1024, device=DEV).to(bf)
    R = 5 if SM else 30
    def one(name, v, meth, notes, reps, n=1):
        emit(sec, name, {"n": n}, "", dict(time_us=statistics.median(v), p20=q(v, .2), p80=q(v, .8), reps=len(v), method=meth), 0, 0, notes)
    # empty event pair and event pair round one tiny kernel, GPU kept busy before, so that the host is ahead
    for name, fn in (("event_pair_empty", lambda: None), ("event_pair_tiny_add", lambda: x.add_(1.0))):
        v = []
        for i in range(R):
            a, b = Ev(), Ev(); spin(50); a.record(); fn(); b.record(); sync(); v.append(a.elapsed_time(b) * 1e3)
        one(name, v, "event", "offset to subtract from rows with method=event", R)
    ops = {"add_f32_1024": lambda: x.add_(1.0), "mm_bf16_64": lambda: torch.mm(m, m, out=mo), "copy_bf16_4x1024": lambda: xr.clone(),
           "rms_norm_4x1024": lambda: F.rms_norm(xr, (1024,), w, 1e-5)}
    for nm, fn in ops.items():
        for _ in range(20): fn()
        sync()
        host, wall, gpu = [], [], []
        for i in range(R):
            a, b = Ev(), Ev(); sync(); t0 = time.perf_counter(); a.record()
            for _ in range(200): fn()
            b.record(); t1 = time.perf_counter(); sync(); t2 = time.perf_counter()
            host.append((t1 - t0) * 1e6 / 200); wall.append((t2 - t0) * 1e6 / 200); gpu.append(a.elapsed_time(b) * 1e3 / 200)
        one("eager_host_per_op:" + nm, host, "host", "host time to enqueue one eager op (no_grad), 200 in a row", R, 200)
        one("eager_gpu_per_op:" + nm, gpu, "event", "GPU wall per kernel in an eager stream of 200 (launch-bound if = host)", R, 200)
        try:
            for n in (200, 1000):
                def many():
                    for _ in range(n): fn()
                g = capture(many); g.replay(); sync()
                gp, hs = [], []
                for i in range(R):
                    a, b = Ev(), Ev(); spin(50); a.record(); t0 = time.perf_counter(); g.replay(); t1 = time.perf_counter(); b.record(); sync()
                    gp.append(a.elapsed_time(b) * 1e3 / n); hs.append((t1 - t0) * 1e6)
                one("graph_gpu_per_kernel:" + nm, gp, "graph%d" % n, "kernel + gap inside one graph replay", R, n)
                one("graph_replay_host:" + nm, hs, "host", "host time of one g.replay()", R, n)
                g.reset()
        except Exception as e:
            log("a5 graph", nm, e)
        # kernel duration alone by CUPTI
        try:
            from torch.profiler import profile, ProfilerActivity
            with profile(activities=[ProfilerActivity.CUDA]) as p:
                for _ in range(50): fn()
                sync()
            ds = [e.device_time_total if hasattr(e, "device_time_total") else e.cuda_time_total for e in p.events() if "CUDA" in str(getattr(e, "device_type", ""))]
            ds = [d for d in ds if d > 0]
            if ds: one("kernel_duration_cupti:" + nm, ds, "cupti", "duration of the kernel alone", len(ds))
        except Exception as e:
            log("a5 profiler", nm, str(e)[:200])
    # host cost of common eager ops, with and without autograd
    lin = nn.Linear(1024, 1024, bias=False).to(DEV).to(bf); qq = torch.randn(1, 8, 16, 64, device=DEV).to(bf)
    hops = {"empty": lambda: torch.empty(16, device=DEV), "view": lambda: xr.view(2, 2048), "linear_nograd": lambda: lin(xr), "sdpa_nograd": lambda: F.scaled_dot_product_attention(qq, qq, qq, is_causal=True),
            "silu": lambda: F.silu(xr), "mul": lambda: xr * xr, "cat": lambda: torch.cat([xr, xr]), "to_f32": lambda: xr.float()}
    for nm, fn in hops.items():
        try:
            for _ in range(10): fn()
            v = []
            for i in range(R):
                sync(); t0 = time.perf_counter()
                for _ in range(100): fn()
                v.append((time.perf_counter() - t0) * 1e4)
            one("host_op:" + nm, v, "host", "host time to enqueue", R, 100)
        except Exception as e:
            log("a5 hop", nm, e)
    try:
        with torch.enable_grad():
            xg = xr.clone().requires_grad_(True)
            v, vb = [], []
            for i in range(R):
                sync(); t0 = time.perf_counter(); ys = [lin(xg) for _ in range(50)]; t1 = time.perf_counter()
                z = ys[0]
                for y in ys[1:]: z = z + y
                z = z.sum(); t2 = time.perf_counter(); z.backward(); t3 = time.perf_counter()
                v.append((t1 - t0) * 1e6 / 50); vb.append((t3 - t2) * 1e6 / 50)
            one("host_op:linear_autograd_fwd", v, "host", "host time to enqueue with autograd recording", R, 50)
            one("host_op:linear_autograd_bwd", vb, "host", "host wall of backward per linear (2 GEMMs + accumulate + add)", R, 50)
    except Exception as e:
        log("a5 autograd", e)
    v = []
    for i in range(R):
        sync(); t0 = time.perf_counter(); x.add_(1.0); sync(); v.append((time.perf_counter() - t0) * 1e6)
    one("launch_to_sync_latency", v, "host", "enqueue one tiny kernel on an idle GPU and wait for it", R)
    try:
        load_triton(); xx = torch.randn(4, 4096, device=DEV).to(bf); ww = torch.randn(4096, device=DEV).to(bf); yy = torch.empty_like(xx)
        t_rms(xx, ww, yy); sync(); v = []
        for i in range(R):
            sync(); t0 = time.perf_counter()
            for _ in range(100): t_rms(xx, ww, yy)
            v.append((time.perf_counter() - t0) * 1e4)
        one("host_op:triton_launch", v, "host", "host time to launch one Triton kernel", R, 100)
    except Exception as e:
        log("a5 triton", str(e)[:300])
    # host-device copies
    for by in pick([1 << 12, 1 << 16, 1 << 20, 1 << 24, 1 << 28]):
        try:
            h = torch.empty(by, dtype=torch.uint8, pin_memory=DEV == "cuda"); d = torch.empty(by, dtype=torch.uint8, device=DEV)
            for nm, fn in (("h2d_pinned", lambda: d.copy_(h, non_blocking=True)), ("d2h_pinned", lambda: h.copy_(d, non_blocking=True))):
                emit(sec, nm, {"bytes": by}, "", bench([fn], graph=False, flush=False, spin_us=30, maxms=60), by, 0, "PCIe inside a VM")
        except Exception as e:
            log("a5 copy", e)
    new_pool()


# ------------------------------------------------------------------------------------------------ A2 GEMM
SHAPES = [  # model, layer, N (out), K (in)
    ("llama8b", "qkv", 6144, 4096), ("llama8b", "o", 4096, 4096), ("llama8b", "gate_up", 28672, 4096), ("llama8b", "down", 4096, 14336),
    ("dsv3", "q_a", 1536, 7168), ("dsv3", "q_b", 24576, 1536), ("dsv3", "kv_a", 576, 7168), ("dsv3", "kv_b", 32768, 512), ("dsv3", "o", 7168, 16384),
    ("dsv3", "shared_gate_up", 4096, 7168), ("dsv3", "shared_down", 7168, 2048), ("dsv3", "dense_gate_up", 36864, 7168), ("dsv3", "dense_down", 7168, 18432),
    ("llama70b_tp8", "qkv", 1280, 8192), ("llama70b_tp8", "o", 8192, 1024), ("llama70b_tp8", "gate_up", 7168, 8192), ("llama70b_tp8", "down", 8192, 3584),
    ("llama70b_tp4", "qkv", 2560, 8192), ("llama70b_tp4", "o", 8192, 2048), ("llama70b_tp4", "gate_up", 14336, 8192), ("llama70b_tp4", "down", 8192, 7168),
    ("llama405b_tp8", "qkv", 2304, 16384), ("llama405b_tp8", "o", 16384, 2048), ("llama405b_tp8", "gate_up", 13312, 16384), ("llama405b_tp8", "down", 16384, 6656),
    ("llama70b_tp1", "qkv", 10240, 8192), ("llama70b_tp1", "o", 8192, 8192), ("llama70b_tp1", "gate_up", 57344, 8192), ("llama70b_tp1", "down", 8192, 28672),
    ("llama8b", "lm_head", 128256, 4096), ("llama70b_tp8", "lm_head", 16032, 8192)]
MS = [128, 4096, 1, 1024, 16384, 16, 8192, 64, 2048, 256, 32, 512, 8]


def a2(dl):
    pin = Pool(2**32); pout = Pool(2**31, fill=False)
    shapes = [("dry", "dry", 96, 64)] if DRY else (SHAPES[::6] + SHAPES[-2:-1] if SM else SHAPES)
    sq = [] if DRY else [(4096,) * 3, (8192,) * 3, (16384,) * 3, (2048,) * 3, (1024,) * 3, (512,) * 3]
    def one(M, N, Kd, lay, tag):
        if not want("gemm_" + lay, {"M": M, "N": N, "K": Kd}): return
        if lay == "fwd":      # Y[M,N] = X[M,K] W[N,K]^T
            by = 2 * (M * Kd + N * Kd + M * N); n = nsets(by)
            sets = [(pin.take(M, Kd), pin.take(N, Kd).t(), pout.take(M, N)) for _ in range(n)]
        elif lay == "dgrad":  # dX[M,K] = dY[M,N] W[N,K]
            by = 2 * (M * Kd + N * Kd + M * N); n = nsets(by)
            sets = [(pin.take(M, N), pin.take(N, Kd), pout.take(M, Kd)) for _ in range(n)]
        else:                 # dW[N,K] = dY[M,N]^T X[M,K]
            by = 2 * (M * Kd + N * Kd + M * N); n = nsets(by)
            sets = [(pin.take(M, N).t(), pin.take(M, Kd), pout.take(N, Kd)) for _ in range(n)]
        fns = [(lambda a=a, b=b, o=o: torch.mm(a, b, out=o)) for a, b, o in sets]
        r = bench(fns, key="mm", maxms=100.0)
        emit("A2", "gemm_" + lay, {"M": M, "N": N, "K": Kd}, "bf16", r, by, 2 * M * N * Kd, tag, l2tag(n, by))
    for (M, N, Kd) in pick(sq):
        for lay in ("fwd", "dgrad", "wgrad"): one(M, N, Kd, lay, "square")
    for M in pick(MS) + ([16384] if SM and not DRY else []):
        for (mod, lyr, N, Kd) in shapes:
            for lay in ("fwd", "dgrad", "wgrad"):
                if over(dl, "gemm M=%d" % M): return
                try:
                    one(M, N, Kd, lay, "%s %s" % (mod, lyr))
                except Exception as e:
                    log("gemm", M, N, Kd, lay, str(e)[:200])
                    if "CUDA error" in str(e): raise


def a2f8(dl):
    f8 = torch.float8_e4m3fn
    src = Pool(2**28); n8 = 2**31 if not DRY else 1 << 22
    p8 = Pool.__new__(Pool); p8.t = torch.empty(n8, dtype=f8, device=DEV); p8.n = n8; p8.off = 0
    for i in range(0, n8, src.n): p8.t[i:i + src.n].copy_(src.t[:min(src.n, n8 - i)])
    del src
    one_s = torch.ones((), device=DEV)
    shapes = [("dry", "dry", 128, 512)] if DRY else (SHAPES[::6] if SM else SHAPES)
    blk_ok = [None]
    bad = set()
    for (M, tag_sq) in [(m, None) for m in pick([m for m in MS if m >= 128])] + ([(8192, "sq")] if not DRY else []):
        for (mod, lyr, N, Kd) in (shapes if tag_sq is None else [("square", "", 8192, 8192), ("square", "", 4096, 4096)]):
            for mode in ("tensor", "row", "block"):
                if over(dl, "fp8 M=%d" % M): return
                if mode in bad or (mode == "block" and (N % 128 or Kd % 512)): continue
                if not want("gemm_fp8_" + mode, {"M": M, "N": N, "K": Kd}): continue
                try:
                    by = M * Kd + N * Kd + 2 * M * N; n = nsets(by)
                    if mode == "tensor": sa, sb = one_s, one_s
                    elif mode == "row": sa, sb = torch.rand(M, 1, device=DEV), torch.rand(1, N, device=DEV)
                    else: sa, sb = torch.rand(Kd // 128, M, device=DEV).t(), torch.rand(N // 128, Kd // 128, device=DEV).t()
                    sets = [(p8.take(M, Kd), p8.take(N, Kd).t()) for _ in range(n)]
                    fa = mode != "block"
                    fns = [(lambda a=a, b=b: torch._scaled_mm(a, b, scale_a=sa, scale_b=sb, out_dtype=torch.bfloat16, use_fast_accum=fa)) for a, b in sets]
                    r = bench(fns, key="smm" + mode, maxms=80.0)
                    emit("A2", "gemm_fp8_" + mode, {"M": M, "N": N, "K": Kd}, "e4m3xe4m3->bf16", r, by, 2 * M * N * Kd,
                         "%s %s%s" % (mod, lyr, {"tensor": "; per-tensor scales; fast accumulation", "row": "; rowwise scales; fast accumulation", "block": "; 1x128 by 128x128 scales (cuBLASLt)"}[mode]), l2tag(n, by))
                except Exception as e:
                    log("fp8", mode, M, N, Kd, str(e)[:400])
                    if "CUDA error" in str(e): raise
                    if mode == "block": bad.add(mode)


# ------------------------------------------------------------------------------------------------ A1 memory-bound
def a1(dl):
    bf = torch.bfloat16
    try:
        load_triton(); tri = True; check_triton()
    except Exception as e:
        log("triton unavailable", str(e)[:300]); tri = False
    pin = Pool(2**31 + 2**29); pout = Pool(2**31, fill=False)
    SZ = pick([2**k for k in (12, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31)])
    sec = "A1"
    failed = {}

    def run(op, shape, by, mk, dtype="bf16", flops=0, notes="", graph=True, cap=64, warm=False, n=None, maxms=60.0, **kw):
        """mk() makes one callable on fresh buffers"""
        if over(dl, op): raise TimeoutError
        if not want(op, shape): return
        if failed.get(op, 0) >= 2: return
        try:
            n = n or (1 if warm else nsets(by, cap))
            fns = [mk() for _ in range(n)]
            r = bench(fns, graph=graph, key=op, maxms=maxms, **kw)
            emit(sec, op, shape, dtype, r, by, flops, notes, "warm" if warm else l2tag(n, by) if r["method"] != "event" else "cold")
        except torch.cuda.OutOfMemoryError:
            log("OOM", op, shape); gc.collect(); torch.cuda.empty_cache()
        except Exception as e:
            failed[op] = failed.get(op, 0) + 1
            log("a1", op, shape, str(e)[:300])
            if "CUDA error" in str(e): raise

    def rms_eager(x, w):
        xf = x.float(); return (xf * torch.rsqrt(xf.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype) * w

    def swiglu_eager(g, u): return F.silu(g) * u

    def mk2(fn, *shapes_out):
        return fn
    try:
        # --- copy, add
        for s in SZ:
            n = s // 2
            def mk():
                x, y = pin.take(n), pout.take(n); return lambda: y.copy_(x)
            run("copy", {"bytes": s}, 2 * s, mk)
            if s <= 2**24: run("copy", {"bytes": s}, 2 * s, mk, warm=True, notes="same buffers each time: L2-resident")
        for s in SZ:
            n = s // 2
            def mk():
                x, y, z = pin.take(n), pin.take(n), pout.take(n); return lambda: torch.add(x, y, out=z)
            run("add", {"bytes": s}, 3 * s, mk, flops=n)
            if s <= 2**24: run("add", {"bytes": s}, 3 * s, mk, flops=n, warm=True, notes="same buffers each time: L2-resident")
        # --- RMSNorm
        rc = None
        try:
            rc = torch.compile(rms_eager)
        except Exception as e:
            log("compile rms", e)
        for h in pick([4096, 7168]) if not SM else [4096, 7168]:
            w = torch.randn(h, device=DEV).to(bf)
            for s in SZ:
                R = s // (2 * h)
                if R < 1: continue
                by = 2 * s + 2 * h; sh = {"rows": R, "hidden": h}
                if tri:
                    def mk():
                        x, y = pin.take(R, h), pout.take(R, h); return lambda: t_rms(x, w, y)
                    run("rmsnorm_fwd_triton", sh, by, mk, flops=4 * R * h)
                def mk():
                    x = pin.take(R, h); return lambda: F.rms_norm(x, (h,), w, 1e-5)
                run("rmsnorm_fwd_torch_fused", sh, by, mk, flops=4 * R * h, notes="F.rms_norm")
                if h == 4096:
                    def mk():
                        x = pin.take(R, h); return lambda: rms_eager(x, w)
                    run("rmsnorm_fwd_eager", sh, by, mk, flops=4 * R * h, notes="6 kernels through fp32; bytes = ideal fused traffic")
                    if rc is not None and R > 1:
                        def mk():
                            x = pin.take(R, h)
                            try: torch._dynamo.maybe_mark_dynamic(x, 0)
                            except Exception: pass
                            return lambda: rc(x, w)
                        run("rmsnorm_fwd_compile", sh, by, mk, flops=4 * R * h, notes="torch.compile")
                    if tri and s >= 2**16:
                        def mk():
                            x, a, y = pin.take(R, h), pin.take(R, h), pout.take(R, h); x = x.clone() if s <= 2**22 else x
                            return lambda: t_addrms(x, a, w, y)
                        if s <= 2**29: run("add_rmsnorm_fwd_triton", sh, 4 * s + 2 * h, mk, flops=5 * R * h, notes="residual add fused; residual rewritten", cap=16)
        pin = Pool(2**31 + 2**29) if not SM else pin      # add_rmsnorm rewrote its residuals
        with torch.enable_grad():
            for s in SZ[3:]:
                h = 4096; R = s // (2 * h)
                if R < 1 or s > 2**30: continue
                w = torch.randn(h, device=DEV).to(bf).requires_grad_(True)
                def mk():
                    x = pin.take(R, h).detach().requires_grad_(True); y = F.rms_norm(x, (h,), w, 1e-5); g = pin.take(R, h)
                    return lambda: torch.autograd.grad(y, (x, w), g, retain_graph=True)
                run("rmsnorm_bwd_torch_fused", {"rows": R, "hidden": h}, 3 * s, mk, flops=8 * R * h, graph=False, n=1, notes="autograd of F.rms_norm; dx and dw", spin_us=150)
        # --- SwiGLU
        sc = None
        for Fd in (2048, 14336):
            for s in SZ:
                T = s // (4 * Fd)
                if T < 1 or (Fd == 14336 and s < 2**20): continue
                sh = {"tokens": T, "ffn": Fd}; by = 6 * T * Fd
                if tri:
                    def mk():
                        gu, y = pin.take(T, 2 * Fd), pout.take(T, Fd); return lambda: t_swiglu(gu, y)
                    run("swiglu_fwd_triton", sh, by, mk, flops=5 * T * Fd)
                    def mk():
                        gu, dy, d = pin.take(T, 2 * Fd), pin.take(T, Fd), pout.take(T, 2 * Fd); return lambda: t_swiglu_bwd(gu, dy, d)
                    run("swiglu_bwd_triton", sh, 10 * T * Fd, mk, flops=12 * T * Fd)
                if Fd == 2048:
                    def mk():
                        g, u = pin.take(T, Fd), pin.take(T, Fd); return lambda: swiglu_eager(g, u)
                    run("swiglu_fwd_eager", sh, by, mk, flops=5 * T * Fd, notes="silu then mul, 2 kernels; bytes = ideal fused traffic")
                    if 2**18 <= s <= 2**30:
                        with torch.enable_grad():
                            def mk():
                                g, u, dy = pin.take(T, Fd).detach().requires_grad_(True), pin.take(T, Fd).detach().requires_grad_(True), pin.take(T, Fd)
                                y = swiglu_eager(g, u); return lambda: torch.autograd.grad(y, (g, u), dy, retain_graph=True)
                            run("swiglu_bwd_eager", sh, 10 * T * Fd, mk, flops=12 * T * Fd, graph=False, n=1, notes="autograd of silu*mul, 3 kernels; bytes = ideal fused traffic", spin_us=200)
        # --- rotary
        def rot(x): a, b = x.chunk(2, -1); return torch.cat((-b, a), -1)
        for s in SZ:
            T = s // (40 * 128 * 2)
            if T < 1 or s > 2**30: continue
            sh = {"tokens": T, "heads": 40, "dim": 128}
            if tri:
                c, sn = rope_cs(T, 128, torch.float32)
                def mk():
                    x = pout.take(T, 40 * 128); return lambda: t_rope(x, c, sn, 40, 128)
                pout.t[:T * 5120 * 2].normal_() if not DRY and s <= 2**28 else None
                run("rope_triton", sh, 2 * s + T * 512, mk, flops=3 * T * 5120, notes="in place; 32 q + 8 kv heads; fp32 cos/sin")
            cb, sb = rope_cs(T, 128, bf); cb, sb = torch.cat([cb, cb], -1)[:, None], torch.cat([sb, sb], -1)[:, None]
            def mk():
                x = pin.take(T, 40, 128); return lambda: x * cb + rot(x) * sb
            run("rope_eager", sh, 2 * s + T * 512, mk, flops=3 * T * 5120, notes="rotate_half: neg + cat + 2 mul + add, 5 kernels; bytes = ideal fused traffic")
        # --- fp8 cast with 1x128 scales
        if tri:
            for s in SZ:
                T = s // (2 * 7168)
                if T < 1 or s > 2**31: continue
                def mk():
                    x = pin.take(T, 7168); y = pout.take(T, 3584).view(torch.float8_e4m3fn) if not DRY else pout.take(T, 7168)
                    sc_ = torch.empty(T, 56, device=DEV); return lambda: t_cast8(x, y, sc_)
                run("cast_bf16_fp8_1x128", {"rows": T, "hidden": 7168}, T * 7168 * 3 + T * 224, mk, dtype="bf16->e4m3+fp32 scales", flops=3 * T * 7168)
        # --- casts and gradient accumulation
        for s in SZ:
            n = s // 2
            if s > 2**30: continue
            def mk():
                x = pin.take(n); a = torch.empty(n, device=DEV); return lambda: a.copy_(x)
            run("cast_bf16_fp32", {"elements": n}, 6 * n, mk, dtype="bf16->fp32")
            def mk():
                x = pin.take(n); a = torch.randn(n, device=DEV); return lambda: a.add_(x)
            run("grad_accum_fp32+=bf16", {"elements": n}, 10 * n, mk, dtype="fp32+=bf16", flops=n)
        # --- transpose
        for s in SZ:
            R = s // 8192
            if R < 8: continue
            def mk():
                x = pin.take(R, 4096); y = pout.take(4096, R); return lambda: y.copy_(x.t())
            run("transpose", {"rows": R, "cols": 4096}, 2 * s, mk, notes="torch y.copy_(x.t())")
            if tri:
                def mk():
                    x = pin.take(R, 4096); y = pout.take(4096, R); return lambda: t_transpose(x, y)
                run("transpose_triton", {"rows": R, "cols": 4096}, 2 * s, mk, notes="64x64 tiles")
        # --- adam
        for (n, dt) in pick([(10**7, "bf16"), (10**7, "fp32"), (10**8, "bf16"), (10**8, "fp32"), (3 * 10**7, "bf16"), (3 * 10**7, "fp32"), (3 * 10**8, "bf16"), (3 * 10**8, "fp32"), (10**9, "bf16"), (10**9, "fp32")]) if not SM else [(10**7, "bf16"), (10**8, "fp32")]:
            if DRY: n = 10**5
            try:
                td = bf if dt == "bf16" else torch.float32
                k = 64; ps = [nn.Parameter(torch.empty(n // k, device=DEV, dtype=td).normal_()) for _ in range(k)]
                for p in ps: p.grad = torch.empty_like(p).normal_()
                opt = torch.optim.AdamW(ps, lr=1e-4, fused=not DRY)
                run("adamw_fused", {"params": n, "tensors": k}, n * (14 if dt == "bf16" else 28), lambda: opt.step, dtype=dt + " params, grads and states", flops=12 * n, graph=False, n=1, spin_us=1500, maxms=200.0, notes="torch fused AdamW; state dtype = parameter dtype")
                opt2 = torch.optim.AdamW(ps, lr=1e-4, foreach=True)
                if n <= 3 * 10**8: run("adamw_foreach", {"params": n, "tensors": k}, n * (14 if dt == "bf16" else 28), lambda: opt2.step, dtype=dt + " params, grads and states", flops=12 * n, graph=False, n=1, spin_us=3000, maxms=100.0, notes="torch foreach AdamW (about a dozen passes); bytes = ideal fused traffic")
            finally:
                ps = opt = opt2 = None; gc.collect(); torch.cuda.empty_cache()
        # --- MoE permute and unpermute, router
        for (h, E, k) in ((7168, 256, 8), (4096, 8, 2)):
            for T in pick([1, 8, 32, 128, 512, 1024, 2048, 4096, 8192, 16384]):
                if DRY: T = 8
                R = T * k; sh = {"tokens": T, "hidden": h, "topk": k, "experts": E}
                ids = torch.rand(T, E, device=DEV).topk(k, 1)[1]
                order = torch.argsort(ids.view(-1), stable=True); src = order // k; pos = torch.empty_like(order); pos[order] = torch.arange(R, device=DEV)
                wts = torch.rand(T, k, device=DEV); by_g = 2 * (T * h + R * h) + 8 * R
                def mk():
                    x, y = pin.take(T, h), pout.take(R, h); return lambda: torch.index_select(x, 0, src, out=y)
                run("moe_permute_index_select", sh, by_g, mk, notes="rows gathered into expert order; bytes = each token once + every copy written")
                if tri:
                    def mk():
                        x, y = pin.take(T, h), pout.take(R, h); return lambda: t_gather(x, src, y)
                    run("moe_permute_triton", sh, by_g, mk)
                    def mk():
                        y, o = pin.take(R, h), pout.take(T, h); return lambda: t_unperm(y, pos, wts, o, k)
                    run("moe_unpermute_triton", sh, by_g + 4 * R, mk, flops=2 * R * h, notes="weighted sum of the top-k rows")
                wb = wts.to(bf).unsqueeze(-1)
                def mk():
                    y = pin.take(R, h); return lambda: (y.index_select(0, pos).view(T, k, h) * wb).sum(1)
                if R * h * 2 <= 2**31: run("moe_unpermute_eager", sh, by_g + 4 * R, mk, flops=2 * R * h, notes="index_select, mul, sum: 3 kernels; bytes = ideal fused traffic")
                def mk():
                    y = pin.take(R, h); o = torch.zeros(T, h, device=DEV, dtype=bf); return lambda: o.index_add_(0, src, y)
                run("moe_unpermute_index_add", sh, by_g + 2 * T * h, mk, flops=R * h, notes="atomic adds; no weights", cap=16)
                lg = torch.randn(T, E, device=DEV)
                run("router_softmax_topk", sh, 4 * T * E + 12 * T * k, lambda: (lambda: torch.softmax(lg, -1).topk(k, -1)), dtype="fp32", n=1, notes="softmax + topk kernels")
                run("router_sigmoid_topk", sh, 4 * T * E + 12 * T * k, lambda: (lambda: torch.sigmoid(lg).topk(k, -1)), dtype="fp32", n=1, notes="sigmoid + topk kernels")
                fl = ids.view(-1)
                run("moe_argsort", sh, 16 * R, lambda: (lambda: torch.argsort(fl, stable=True)), dtype="int64", n=1, notes="stable argsort of the expert ids")
        # --- embedding
        V = 128256 if not DRY else 1000
        emb = torch.randn(V, 4096 if not DRY else 64, device=DEV).to(bf); h = emb.shape[1]
        for T in pick([1, 64, 1024, 4096, 16384, 65536]):
            ids = torch.randint(0, V, (T,), device=DEV)
            run("embedding_fwd", {"tokens": T, "hidden": h, "vocab": V}, 4 * T * h, lambda: (lambda: F.embedding(ids, emb)), n=1)
            if T >= 1024 or DRY:
                g = pin.take(T, h)
                run("embedding_bwd", {"tokens": T, "hidden": h, "vocab": V}, 2 * V * h + 4 * T * h, lambda: (lambda: torch.ops.aten.embedding_dense_backward(g, ids, V, -1, False)), n=1, graph=False, spin_us=300, notes="dense gradient zeroed, then sorted accumulation")
        emb = None
        # --- softmax and cross-entropy over the vocabulary
        pout = None; gc.collect(); torch.cuda.empty_cache()
        for T in ([1024, 2048, 4096, 8192, 16384] if not SM else [1024, 4096]):
            if DRY: T = 16
            for dt, b in (("bf16", 2), ("fp32", 4)):
                xs = pin.take(T, V); x = xs if dt == "bf16" else xs.float()
                tg = torch.randint(0, V, (T,), device=DEV); sh = {"rows": T, "vocab": V}
                run("softmax", sh, 2 * b * T * V, lambda: (lambda: torch.softmax(x, -1)), dtype=dt, n=1, flops=5 * T * V)
                run("cross_entropy_fwd", sh, b * T * V, lambda: (lambda: F.cross_entropy(x, tg)), dtype=dt, n=1, flops=4 * T * V, notes="log_softmax (written) + nll; bytes = logits read once")
                with torch.enable_grad():
                    xg = x.detach().requires_grad_(True); ls = F.cross_entropy(xg, tg)
                    run("cross_entropy_bwd", sh, 2 * b * T * V, lambda: (lambda: torch.autograd.grad(ls, xg, retain_graph=True)), dtype=dt, n=1, flops=4 * T * V, graph=False, spin_us=150, notes="nll backward + log_softmax backward; bytes = log-probabilities read + gradient written")
                if dt == "bf16":
                    with torch.enable_grad():
                        xg = x.detach().requires_grad_(True)
                        def step():
                            l = F.cross_entropy(xg.float(), tg); return torch.autograd.grad(l, xg)
                        run("cross_entropy_bf16_via_fp32_fwd+bwd", sh, 4 * T * V, lambda: step, dtype="bf16 logits upcast", n=1, flops=8 * T * V, graph=False, spin_us=400, notes="float() + cross_entropy + backward to bf16; bytes = ideal fused traffic")
                x = xs = xg = ls = None; gc.collect(); torch.cuda.empty_cache()
    except TimeoutError:
        pass


# ------------------------------------------------------------------------------------------------ A3 grouped GEMM
def loads_of(E, T, skew):
    tot = E * T
    if skew == 0: return [T] * E
    p = [(i + 1.0) ** -skew for i in range(E)]; z = sum(p); ld = [int(tot * x / z) for x in p]
    i = 0
    while sum(ld) < tot: ld[i % E] += 1; i += 1
    perm = [(j * 7 + 3) % E if E % 7 else j for j in range(E)]
    return [ld[j] for j in perm]


def a3(dl):
    bf = torch.bfloat16
    gm = getattr(torch, "_grouped_mm", None) or F.grouped_mm
    pin = Pool(2**32)
    CFG = [("dsv3", "gate_up", 4096, 7168), ("dsv3", "down", 7168, 2048), ("mixtral", "gate_up", 28672, 4096), ("mixtral", "down", 4096, 14336), ("qwen3_235b", "gate_up", 3072, 4096), ("qwen3_235b", "down", 4096, 1536)]
    if DRY: CFG = [("dry", "dry", 64, 32)]
    # correctness
    try:
        E, T, N, Kd = 4, 24, 256, 128; ld = [8, 40, 0, 48]
        x = torch.randn(96, Kd, device=DEV).to(bf); w = torch.randn(E, N, Kd, device=DEV).to(bf); of = torch.tensor(ld, device=DEV).cumsum(0).to(torch.int32)
        y = gm(x, w.transpose(-2, -1), offs=of); rf = torch.cat([a.float() @ w[i].float().t() for i, a in enumerate(x.split(ld))])
        log("grouped_mm check rel err %.1e" % relerr(y, rf))
    except Exception as e:
        log("grouped_mm check EXC", str(e)[:300])
    bad = {}
    def one(mod, lyr, N, Kd, E, T, skew, lay):
        if not want("grouped_gemm_" + lay, {"E": E, "tokens_per_expert": T, "N": N, "K": Kd, "skew": skew}): return
        ld = loads_of(E, T, skew)
        if lay == "wgrad":
            ld = [(v + 7) // 8 * 8 for v in ld]
        tot = sum(ld); of = torch.tensor(ld, device=DEV).cumsum(0).to(torch.int32)
        act = sum(1 for v in ld if v)
        by = 2 * (tot * (N + Kd) + (act if lay != "wgrad" else E) * N * Kd); n = nsets(by)
        if lay == "fwd": fns = [(lambda a=pin.take(tot, Kd), b=pin.take(E, N, Kd).transpose(-2, -1): gm(a, b, offs=of)) for _ in range(n)]
        elif lay == "dgrad": fns = [(lambda a=pin.take(tot, N), b=pin.take(E, N, Kd): gm(a, b, offs=of)) for _ in range(n)]
        else: fns = [(lambda a=pin.take(tot, N).t(), b=pin.take(tot, Kd): gm(a, b, offs=of)) for _ in range(n)]
        r = bench(fns, key="gmm" + lay, maxms=60.0)
        emit("A3", "grouped_gemm_" + lay, {"E": E, "tokens_per_expert": T, "N": N, "K": Kd, "skew": skew}, "bf16", r, by, 2 * tot * N * Kd,
             "%s %s; max_mean=%.3f; loads=%s" % (mod, lyr, max(ld) / (tot / E), "/".join(map(str, ld))), l2tag(n, by))
    for lay in ("fwd", "dgrad", "wgrad"):
        for T in pick([128, 32, 512, 8, 2048]):
            for E in pick([8, 32, 2, 16, 4]):
                for (mod, lyr, N, Kd) in (CFG if not SM else CFG[:4]):
                    for skew in (0, 0.8) if lay != "fwd" else (0, 0.6, 1.2):
                        if over(dl, "grouped %s T=%d" % (lay, T)): return
                        if mod == "mixtral" and E > 8: continue
                        if bad.get(lay, 0) > 1: continue
                        try:
                            one(mod, lyr, N, Kd, E, T, skew, lay)
                        except Exception as e:
                            log("grouped", lay, E, T, N, Kd, skew, str(e)[:300]); bad[lay] = bad.get(lay, 0) + 1
                            if "CUDA error" in str(e): raise
        if lay == "fwd":
            # fp8 rowwise grouped, forward only
            try:
                f8 = torch.float8_e4m3fn
                for (mod, lyr, N, Kd) in CFG[:2]:
                    for E in pick([8, 32, 2]):
                        for T in pick([8, 32, 128, 512, 2048]):
                            if over(dl - 6, "grouped fp8"): raise TimeoutError
                            if not want("grouped_gemm_fp8row_fwd", {"E": E, "tokens_per_expert": T, "N": N, "K": Kd, "skew": 0}): continue
                            ld = loads_of(E, T, 0); tot = sum(ld); of = torch.tensor(ld, device=DEV).cumsum(0).to(torch.int32)
                            by = tot * Kd + E * N * Kd + 2 * tot * N; n = nsets(by)
                            sa, sb = torch.rand(tot, device=DEV), torch.rand(E, N, device=DEV)
                            fns = []
                            for _ in range(n):
                                a, b = pin.take(tot, Kd).to(f8), pin.take(E, N, Kd).to(f8).transpose(-2, -1)
                                fns.append(lambda a=a, b=b: torch._scaled_grouped_mm(a, b, sa, sb, offs=of, out_dtype=bf, use_fast_accum=True))
                            r = bench(fns, key="gmm8", maxms=60.0)
                            emit("A3", "grouped_gemm_fp8row_fwd", {"E": E, "tokens_per_expert": T, "N": N, "K": Kd, "skew": 0}, "e4m3xe4m3->bf16", r, by, 2 * tot * N * Kd, "%s %s; rowwise scales" % (mod, lyr), l2tag(n, by))
            except TimeoutError: pass
            except Exception as e:
                log("grouped fp8", str(e)[:300])
                if "CUDA error" in str(e): raise


# ------------------------------------------------------------------------------------------------ A4 attention
def backends():
    from torch.nn.attention import sdpa_kernel, SDPBackend
    return sdpa_kernel, {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}


def a4(dl):
    bf = torch.bfloat16
    sdpa_kernel, BK = backends()
    sdpa = F.scaled_dot_product_attention
    pin = Pool(5 * 2**30 if not SM else 2**30)       # 10 GiB of bf16
    TR = [(32, 8, 128, 128), (32, 32, 128, 128), (64, 8, 128, 128), (8, 1, 128, 128), (16, 16, 192, 128), (128, 128, 192, 128), (32, 32, 64, 64), (32, 8, 64, 64)]
    SQ = [4096, 1024, 8192, 2048, 16384, 32768]
    if DRY: TR, SQ = [(4, 2, 16, 16)], [32]
    bad = {}
    def train(bk, H, KV, D, Dv, s, b):
        sh = {"B": b, "H": H, "KV": KV, "S": s, "D": D, "Dv": Dv, "causal": 1}
        wf, wb = want("attn_fwd_" + bk, sh), want("attn_bwd_" + bk, sh)
        if not (wf or wb): return
        with torch.enable_grad():
            mk = lambda h, d: pin.take(b, s, h, d).transpose(1, 2).detach().requires_grad_(True)     # [B,H,S,D] views of the [B,S,H,D] layout of a model
            qq, kk, vv = mk(H, D), mk(KV, D), mk(KV, Dv)
            f = lambda: sdpa(qq, kk, vv, is_causal=True, enable_gqa=(H != KV))
            by = 2 * b * s * (H * D + KV * (D + Dv) + H * Dv) + 4 * b * s * H
            fl = b * H * s * s * (D + Dv)
            r = bench([f], graph=False, maxms=100.0, minreps=4, spin_us=150)
            if wf: emit("A4", "attn_fwd_" + bk, sh, "bf16", r, by, fl, "SDPA %s; flops causal (half of S^2)" % bk, "cold")
            o = f(); g = torch.randn_like(o)
            fb = lambda: torch.autograd.grad(o, (qq, kk, vv), g, retain_graph=True)
            if not wb: return
            r = bench([fb], graph=False, maxms=150.0, minreps=4, spin_us=300)
            emit("A4", "attn_bwd_" + bk, sh, "bf16", r, 2 * by, fl * 2.5, "SDPA %s backward; flops = 2.5 x forward" % bk, "cold")
    def decode(bk, H, KV, D, b, s):
        by = 2 * b * s * KV * 2 * D + 4 * b * H * D; n = nsets(by, 64)
        if not want("attn_decode_" + bk, {"B": b, "H": H, "KV": KV, "S_kv": s, "D": D}): return
        fns = []
        for _ in range(n):
            qq, kk, vv = pin.take(b, H, 1, D), pin.take(b, KV, s, D), pin.take(b, KV, s, D)
            fns.append(lambda a=qq, c=kk, d=vv: sdpa(a, c, d, enable_gqa=(H != KV)))
        r = bench(fns, key="dec" + bk, maxms=40.0)
        emit("A4", "attn_decode_" + bk, {"B": b, "H": H, "KV": KV, "S_kv": s, "D": D}, "bf16", r, by, 4 * b * H * s * D, "SDPA %s; 1 query token; [B,KV,S,D] cache, dense" % bk, l2tag(n, by))
    def guard(name, fn):
        if bad.get(name, 0) >= 3: return
        try:
            fn()
        except torch.cuda.OutOfMemoryError:
            log("OOM", name); gc.collect(); torch.cuda.empty_cache()
        except Exception as e:
            bad[name] = bad.get(name, 0) + 1; log("a4", name, str(e)[:250].replace("\n", " "))
            if "CUDA error" in str(e): raise
    # order: flash train, cudnn train, flash decode, cudnn decode; big ones last inside each
    def trains(bk, end):
        with sdpa_kernel(BK[bk]):
            for s in (SQ if not SM or DRY else [1024, 4096, 16384]):
                for (H, KV, D, Dv) in (TR if not SM or DRY else TR[:1] + TR[4:7]):
                    if H == 128 and s > 8192: continue
                    for b in ([1, 8192 // s] if s < 8192 and not SM else [1]):
                        if over(end, "train attn " + bk): return
                        guard("%s %d/%d d%d" % (bk, H, KV, D), lambda: train(bk, H, KV, D, Dv, s, b))
    def decodes(bk, end):
        with sdpa_kernel(BK[bk]):
            for (H, KV) in ((32, 8), (64, 8)) if not DRY else ((4, 2),):
                for b in pick([1, 64, 16, 256, 4, 128, 32, 8]):
                    for s in pick([512, 2048, 8192, 32768, 1024, 4096, 16384]):
                        if DRY: s = 32
                        if b * s * KV * 128 * 2 > pin.n: continue
                        if over(end, "decode attn " + bk): return
                        guard("dec %s" % bk, lambda: decode(bk, H, KV, 128 if not DRY else 16, b, s))
    t = time.time(); tot = dl - t
    if COOL:
        decodes("flash", t + .6 * tot); trains("flash", dl); return
    trains("flash", t + .30 * tot); log("a4 flash train done")
    decodes("flash", t + .50 * tot); log("a4 flash decode done")
    trains("cudnn", t + .85 * tot); log("a4 cudnn train done")
    decodes("cudnn", dl); log("a4 cudnn decode done")


# ------------------------------------------------------------------------------------------------ A6 sharing, power
def energy():
    return NVML.nvmlDeviceGetTotalEnergyConsumption(NVH) / 1000.0


def power_loop(name, g, nops, secs, by, fl, sh, dtype, notes=""):
    """replay graph g for secs seconds; energy counter over the window after a 0.35 s ramp"""
    evs = []; n = 0
    def pump(until):
        nonlocal n
        while time.time() < until:
            g.replay(); e = Ev(); e.record(); evs.append(e); n += 1
            if len(evs) > 3: evs[-3].synchronize()
    pump(time.time() + 0.35); sync()
    evs.clear(); n = 0
    a, b = Ev(), Ev(); t0 = time.time(); a.record(); clk = []; en = []
    tend = t0 + secs
    while time.time() < tend:
        if NVML:
            en.append((time.time(), energy())); clk.append((NVML.nvmlDeviceGetClockInfo(NVH, NVML.NVML_CLOCK_SM), NVML.nvmlDeviceGetPowerUsage(NVH) / 1000.0))
        pump(min(tend, time.time() + .08))
    b.record(); sync(); t1 = time.time()
    us = a.elapsed_time(b) * 1e3 / (n * nops)
    W = 0.0
    if len(en) > 3:      # slope of the energy counter, by least squares
        mt = sum(x for x, _ in en) / len(en); me = sum(y for _, y in en) / len(en)
        W = sum((x - mt) * (y - me) for x, y in en) / max(1e-9, sum((x - mt) ** 2 for x, _ in en))
    c = statistics.median([x[0] for x in clk]) if clk else 0
    emit("A6", "power:" + name, sh, dtype, dict(time_us=us, p20=us, p80=us, reps=n * nops, method="sustained"), by, fl,
         "power_w=%.1f; window_s=%.2f; slope of the energy counter; sm_mhz_median=%s; nvml_power_last=%.0f; %s" % (W, t1 - t0, c, clk[-1][1] if clk else 0, notes))
    log("power", name, "%.1f W" % W, "%.1f us" % us, "%.0f TFLOP/s" % (fl / us / 1e6), "%.2f TB/s" % (by / us / 1e6), "sm", c)


def share_pair(vn, vs, vf, vfl, vby, r0, ck, B, wp, grid, nt, sv, sc, cs, cd, R):
    """victim vf (stream sv) against a persistent copy of `grid` blocks (stream sc); r0: the victim alone"""
    nb = cs.numel() // B; cby = 2 * 4 * nb * B
    with torch.cuda.stream(sc):
        t_pcopy(cs, cd, nb, 1, grid, B, wp); sync()
        ca = []
        for _ in range(3):
            a, b = Ev(), Ev(); a.record(); t_pcopy(cs, cd, nb, 1, grid, B, wp); b.record(); sync(); ca.append(a.elapsed_time(b) * 1e3)
    c1 = statistics.median(ca)
    # (i) a few victims inside one long copy
    ng = 4 if vfl > 5e11 else 8
    iters = int(max(2, math.ceil(6.0 * ng * r0["time_us"] / c1)) + 1)
    if iters * c1 > 150e3: iters = int(max(2, 150e3 / c1))
    v, ok = [], 0
    for _ in range(R):
        c0, cc1, g0, g1 = Ev(), Ev(), Ev(), Ev(); sync()
        with torch.cuda.stream(sc):
            c0.record(); t_pcopy(cs, cd, nb, iters, grid, B, wp); cc1.record()
        with torch.cuda.stream(sv):
            spin(150); g0.record()
            for i in range(ng): vf[i % len(vf)]()
            g1.record()
        sync()
        if c0.elapsed_time(g1) < c0.elapsed_time(cc1): ok += 1
        v.append(g0.elapsed_time(g1) * 1e3 / ng)
    tg = statistics.median(v)
    # (ii) one copy inside a long run of victims
    itc = max(1, int(3000 / c1)); nlong = int(math.ceil((itc * c1 * 5 + 1500) / r0["time_us"])) + 2
    w_, ok2 = [], 0
    for _ in range(3 if not SM else 2):
        c0, cc1, g0, g1 = Ev(), Ev(), Ev(), Ev(); sync()
        with torch.cuda.stream(sv):
            g0.record()
            for i in range(nlong): vf[i % len(vf)]()
            g1.record()
        with torch.cuda.stream(sc):
            torch.cuda._sleep(300000); c0.record(); t_pcopy(cs, cd, nb, itc, grid, B, wp); cc1.record()
        sync()
        if g0.elapsed_time(cc1) < g0.elapsed_time(g1): ok2 += 1
        w_.append(c0.elapsed_time(cc1) * 1e3 / itc)
    tc = statistics.median(w_)
    sh = dict(vs); sh.update(copy_blocks=grid, copy=ck)
    emit("A6", "share_%s_alone" % vn, sh, "bf16", r0, vby, vfl, nt)
    emit("A6", "share_%s_with_copy" % vn, sh, "bf16", dict(time_us=tg, p20=q(v, .2), p80=q(v, .8), reps=R, method="overlap"), vby, vfl, nt + "slowdown=%.3f; valid=%d/%d" % (tg / r0["time_us"], ok, R))
    emit("A6", "share_copy_alone", sh, "int32", dict(time_us=c1, p20=min(ca), p80=max(ca), reps=3, method="event"), cby, 0, nt + "persistent Triton copy")
    emit("A6", "share_copy_with_%s" % vn, sh, "int32", dict(time_us=tc, p20=min(w_), p80=max(w_), reps=len(w_), method="overlap"), cby, 0,
         nt + "slowdown=%.3f; valid=%d/%d; launched while victims run: waiting for a free SM is part of it; %d passes per launch" % (tc / c1, ok2, len(w_), itc))
    if grid >= 20 and grid < 30: log("share", vn, vs, ck, grid, "alone %.0f us x%.3f" % (r0["time_us"], tg / r0["time_us"]), "valid", ok, "copy x%.3f" % (tc / c1), "valid", ok2, "copy alone %.0f GB/s" % (cby / c1 / 1e3), nt[-60:])


def share_pair2(vn, vs, vf, vfl, vby, ck, B, wp, grid, nt, sv, sc, cs, cd, R=7):
    """alone and overlapped in turn, same launch pattern, so that both see the same clocks"""
    nb = cs.numel() // B; cby = 2 * 4 * nb * B; md = statistics.median
    def copy(it): t_pcopy(cs, cd, nb, it, grid, B, wp)
    def victims(n):
        for i in range(n): vf[i % len(vf)]()
    def t_v(n, pre=None):
        a, b = Ev(), Ev(); sync()
        if pre: pre()
        with torch.cuda.stream(sv):
            spin(150); a.record(); victims(n); b.record()
        sync(); return a, b
    with torch.cuda.stream(sc): copy(1)
    victims(2); a, b = t_v(4); r1 = a.elapsed_time(b) * 1e3 / 4
    def t_c(it):
        a, b = Ev(), Ev(); sync()
        with torch.cuda.stream(sc): spin(100); a.record(); copy(it); b.record()
        sync(); return a.elapsed_time(b) * 1e3 / it
    c1 = t_c(1)
    ng = int(max(3, min(16, 2500 / r1)))
    iters = int(max(2, min(math.ceil(6.0 * ng * r1 / c1) + 1, 120e3 / c1)))
    itc = max(1, int(1500 / c1)); nlong = int(min(400, math.ceil((itc * c1 * 10 + 2000) / r1))) + 2
    va, vo, ca, co, ok, ok2 = [], [], [], [], 0, 0
    for _ in range(R if not SM else 2):
        a, b = t_v(ng); va.append(a.elapsed_time(b) * 1e3 / ng)
        c0, c9 = Ev(), Ev()
        def pre():
            with torch.cuda.stream(sc): c0.record(); copy(iters); c9.record()
        a, b = t_v(ng, pre); vo.append(a.elapsed_time(b) * 1e3 / ng); ok += c0.elapsed_time(b) < c0.elapsed_time(c9)
        ca.append(t_c(itc))
        g0, g9, c0, c9 = Ev(), Ev(), Ev(), Ev(); sync()
        with torch.cuda.stream(sv): g0.record(); victims(nlong); g9.record()
        with torch.cuda.stream(sc): torch.cuda._sleep(300000); c0.record(); copy(itc); c9.record()
        sync(); co.append(c0.elapsed_time(c9) * 1e3 / itc); ok2 += g0.elapsed_time(c9) < g0.elapsed_time(g9)
    sh = dict(vs); sh.update(copy_blocks=grid, copy=ck); n = len(va)
    rr = lambda x, m: dict(time_us=md(x), p20=q(x, .2), p80=q(x, .8), reps=len(x), method=m)
    emit("A6", "share_%s_alone" % vn, sh, "bf16", rr(va, "interleaved"), vby, vfl, nt)
    emit("A6", "share_%s_with_copy" % vn, sh, "bf16", rr(vo, "overlap"), vby, vfl, nt + "slowdown=%.3f; valid=%d/%d; copy running first" % (md(vo) / md(va), ok, n))
    emit("A6", "share_copy_alone", sh, "int32", rr(ca, "interleaved"), cby, 0, nt + "persistent Triton copy; %d passes per launch" % itc)
    emit("A6", "share_copy_with_%s" % vn, sh, "int32", rr(co, "overlap"), cby, 0, nt + "slowdown=%.3f; valid=%d/%d; launched while victims run: waiting for a free SM is part of it; %d passes per launch" % (md(co) / md(ca), ok2, n, itc))
    log("share2", vn, shs(vs), ck, grid, "alone %.0f us x%.3f" % (md(va), md(vo) / md(va)), "valid", ok, "copy %.0f GB/s x%.3f" % (cby / md(ca) / 1e3, md(co) / md(ca)), "valid", ok2, nt[-42:])


def a6s(dl):
    bf = torch.bfloat16
    load_triton()
    pin = Pool(2**30); pout = Pool(2**29, fill=False); s2 = torch.cuda.Stream(priority=-1)
    cs, cd = torch.randint(0, 1 << 30, (1 << 28,), device=DEV, dtype=torch.int32), torch.empty(1 << 28, device=DEV, dtype=torch.int32)
    H, L = ("heavy", 16384, 32), ("light", 2048, 4)
    def gem(M, N, Kd):
        a, b, o = pin.take(M, Kd), pin.take(N, Kd).t(), pout.take(M, N)
        return ("gemm", {"M": M, "N": N, "K": Kd}, [lambda: torch.mm(a, b, out=o)], 2 * M * N * Kd, 2 * (M * Kd + N * Kd + M * N))
    G = [gem(8192, 8192, 8192), gem(4096, 4096, 7168), gem(4096, 7168, 4096)]
    hp = "copy on a high-priority stream; "
    def go(v, copies, nt, sv=None, sc=None):
        for (c, grid) in copies:
            if over(dl, "share2"): raise TimeoutError
            try: share_pair2(*v, *c, grid, nt + "%d threads per copy block; " % (c[2] * 32), sv or S, sc or s2, cs, cd)
            except Exception as e:
                log("share2", v[0], v[1], str(e)[:300])
                if "CUDA error" in str(e): raise
    for v in G: go(v, [(H, 20), (L, 20), (H, 8), (H, 40), (L, 8), (L, 40)], hp + "cuBLAS default; ")
    try:
        torch.backends.cuda.preferred_blas_library("cublaslt")
        for lt in (20, 24, 32):
            torch._C._set_sm_carveout_experimental(lt)
            for v in G[:2]: go(v, [(H, 20), (L, 20)], hp + "cuBLASLt with SM carve-out %d; " % lt)
    finally:
        torch._C._set_sm_carveout_experimental(None); torch.backends.cuda.preferred_blas_library(BLAS0)
    for (M, N, Kd) in ((8192, 8192, 8192), (4096, 4096, 7168)):
        ta, tb, to = pin.take(M, Kd), pin.take(N, Kd), pout.take(M, N)
        for pr in (132, 112):
            go(("tritongemm", {"M": M, "N": N, "K": Kd, "programs": pr}, [lambda: t_pgemm(ta, tb, to, pr)], 2 * M * N * Kd, 2 * (M * Kd + N * Kd + M * N)), [(H, 20), (L, 20)], hp + "persistent Triton GEMM without clusters; ")
    rx, ry, rw = pin.take(32768, 4096), pout.take(32768, 4096), torch.randn(4096, device=DEV).to(bf)
    go(("rmsnorm", {"rows": 32768, "hidden": 4096}, [lambda: t_rms(rx, rw, ry)], 4 * 32768 * 4096, 4 * 32768 * 4096), [(H, 20), (L, 20), (H, 8), (H, 40)], hp)
    sdpa_kernel, BK = backends()
    for bk in ("flash", "cudnn"):
        with sdpa_kernel(BK[bk]):
            qq, kk, vv = (pin.take(1, 8192, h, 128).transpose(1, 2) for h in (32, 8, 8))
            go(("attn_fwd_" + bk, {"B": 1, "H": 32, "KV": 8, "S": 8192, "D": 128}, [lambda: F.scaled_dot_product_attention(qq, kk, vv, is_causal=True, enable_gqa=True)], 32 * 8192**2 * 256, 2 * 8192 * 128 * 80), [(H, 20), (L, 20)], hp)
    gm = getattr(torch, "_grouped_mm", None) or F.grouped_mm
    of = torch.full((8,), 1024, device=DEV).cumsum(0).to(torch.int32); ga, gb = pin.take(8192, 7168), pin.take(8, 4096, 7168).transpose(-2, -1)
    go(("grouped_gemm", {"E": 8, "tokens_per_expert": 1024, "N": 4096, "K": 7168}, [lambda: gm(ga, gb, offs=of)], 2 * 8192 * 4096 * 7168, 2 * (8192 * (4096 + 7168) + 8 * 4096 * 7168)), [(H, 20), (L, 20)], hp)
    # disjoint SMs by green contexts
    from cuda.bindings import driver as d
    def ck(r):
        if int(r[0]) != 0: raise RuntimeError("driver call failed: %s" % (r[0],))
        return r[1] if len(r) == 2 else r[1:]
    dev = ck(d.cuDeviceGet(0)); rs = ck(d.cuDeviceGetDevResource(dev, d.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM))
    groups, nb, rem = ck(d.cuDevSmResourceSplitByCount(1, rs, 0, 24)); n1, n2 = groups[0].sm.smCount, rem.sm.smCount
    def mk(r):
        desc = ck(d.cuDevResourceGenerateDesc([r], 1)); g = ck(d.cuGreenCtxCreate(desc, dev, d.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM))
        return g, torch.cuda.ExternalStream(int(ck(d.cuGreenCtxStreamCreate(g, d.CUstream_flags.CU_STREAM_NON_BLOCKING, 0))))
    g1, sc = mk(groups[0]); g2, sv = mk(rem)
    try:
        torch.backends.cuda.preferred_blas_library("cublaslt"); torch._C._set_sm_carveout_experimental(132 - n2)
        for v in G: go(v, [(H, n1), (L, n1)], "green contexts: %d SMs for the copy and %d for cuBLASLt with carve-out %d; " % (n1, n2, 132 - n2), sv, sc)
    finally:
        torch._C._set_sm_carveout_experimental(None); torch.backends.cuda.preferred_blas_library(BLAS0)


def a7(dl):
    """sustained rate, power and clock of more kernels: 0.25 s ramp + 0.75 s each"""
    bf = torch.bfloat16
    load_triton(); pin = Pool(2**30 + 2**29); pout = Pool(2**29, fill=False); one = torch.ones((), device=DEV)
    def run(name, fns, by, fl, sh, dt, notes=""):
        if over(dl, "a7 " + name): return
        try:
            for f in fns[:2]: f()
            sync(); a, b = Ev(), Ev(); a.record(); fns[0](); b.record(); sync()
            k = int(max(len(fns), min(400, 20e3 / max(a.elapsed_time(b) * 1e3, 2))))
            def many():
                for i in range(k): fns[i % len(fns)]()
            g = capture(many); power_loop(name, g, k, 0.75 if not SM else .2, by, fl, sh, dt, notes); g.reset()
        except Exception as e:
            log("a7", name, str(e)[:250])
            if "CUDA error" in str(e): raise
    for (M, N, Kd) in ((16384, 4096, 4096), (4096, 28672, 4096), (4096, 4096, 14336), (8192, 8192, 1024), (8192, 8192, 2048), (2048, 8192, 8192), (1024, 8192, 8192), (512, 8192, 8192), (128, 8192, 8192), (64, 28672, 4096), (16384, 7168, 2048)):
        by = 2 * (M * Kd + N * Kd + M * N); n = nsets(by)
        ss = [(pin.take(M, Kd), pin.take(N, Kd).t(), pout.take(M, N)) for _ in range(n)]
        run("gemm_bf16", [(lambda a=a, b=b, o=o: torch.mm(a, b, out=o)) for a, b, o in ss], by, 2 * M * N * Kd, {"M": M, "N": N, "K": Kd}, "bf16")
    for (mode, M, N, Kd) in (("tensor", 4096, 4096, 7168), ("tensor", 4096, 7168, 2048), ("tensor", 1024, 8192, 8192), ("row", 8192, 8192, 8192), ("block", 8192, 8192, 8192), ("block", 4096, 4096, 7168)):
        a8, b8 = pin.take(M, Kd).to(torch.float8_e4m3fn), pin.take(N, Kd).to(torch.float8_e4m3fn).t()
        if mode == "tensor": sa, sb = one, one
        elif mode == "row": sa, sb = torch.rand(M, 1, device=DEV), torch.rand(1, N, device=DEV)
        else: sa, sb = torch.rand(Kd // 128, M, device=DEV).t(), torch.rand(N // 128, Kd // 128, device=DEV).t()
        run("gemm_fp8_" + mode, [lambda: torch._scaled_mm(a8, b8, scale_a=sa, scale_b=sb, out_dtype=bf, use_fast_accum=mode != "block")], M * Kd + N * Kd + 2 * M * N, 2 * M * N * Kd, {"M": M, "N": N, "K": Kd}, "e4m3")
    gm = getattr(torch, "_grouped_mm", None) or F.grouped_mm
    for (E, T, N, Kd) in ((32, 512, 4096, 7168), (8, 1024, 28672, 4096)):
        of = torch.full((E,), T, device=DEV).cumsum(0).to(torch.int32); a, b = pin.take(E * T, Kd), pin.take(E, N, Kd).transpose(-2, -1)
        run("grouped_gemm_bf16", [lambda: gm(a, b, offs=of)], 2 * (E * T * (N + Kd) + E * N * Kd), 2 * E * T * N * Kd, {"E": E, "tokens_per_expert": T, "N": N, "K": Kd}, "bf16")
    sdpa_kernel, BK = backends()
    for bk in ("flash", "cudnn"):
        with sdpa_kernel(BK[bk]):
            qq, kk, vv = (pin.take(2, 4096, h, 128).transpose(1, 2) for h in (32, 8, 8))
            run("attention_fwd_" + bk, [lambda: F.scaled_dot_product_attention(qq, kk, vv, is_causal=True, enable_gqa=True)], 2 * 2 * 4096 * 128 * 80, 2 * 32 * 4096**2 * 256, {"B": 2, "H": 32, "KV": 8, "S": 4096, "D": 128}, "bf16")
            dq, dk, dv = pin.take(32, 32, 1, 128), pin.take(32, 8, 8192, 128), pin.take(32, 8, 8192, 128)
            run("attention_decode_" + bk, [lambda: F.scaled_dot_product_attention(dq, dk, dv, enable_gqa=True)], 2 * 32 * 8192 * 8 * 2 * 128, 4 * 32 * 32 * 8192 * 128, {"B": 32, "H": 32, "KV": 8, "S_kv": 8192, "D": 128}, "bf16")
    x, y, z = pin.take(2**28), pin.take(2**28), pout.take(2**28)
    run("add", [lambda: torch.add(x, y, out=z)], 3 * 2**29, 2**28, {"bytes": 2**29}, "bf16")


def a6g(dl):
    """spatial split of the SMs by green contexts: 24 SMs for the copy, the rest for the GEMM"""
    load_triton()
    from cuda.bindings import driver as d
    def ck(r):
        if int(r[0]) != 0: raise RuntimeError("driver call failed: %s" % (r[0],))
        return r[1] if len(r) == 2 else r[1:]
    dev = ck(d.cuDeviceGet(0)); rs = ck(d.cuDeviceGetDevResource(dev, d.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM))
    groups, nb, rem = ck(d.cuDevSmResourceSplitByCount(1, rs, 0, 24))
    n1, n2 = groups[0].sm.smCount, rem.sm.smCount
    log("green contexts: %d + %d SMs" % (n1, n2))
    def mk(r):
        desc = ck(d.cuDevResourceGenerateDesc([r], 1)); g = ck(d.cuGreenCtxCreate(desc, dev, d.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM))
        st = ck(d.cuGreenCtxStreamCreate(g, d.CUstream_flags.CU_STREAM_NON_BLOCKING, 0)); return g, torch.cuda.ExternalStream(int(st))
    gc_, sc = mk(groups[0]); gv, sv = mk(rem)
    pin = Pool(2**28); pout = Pool(2**28, fill=False)
    cs, cd = torch.randint(0, 1 << 30, (1 << 28,), device=DEV, dtype=torch.int32), torch.empty(1 << 28, device=DEV, dtype=torch.int32)
    torch.backends.cuda.preferred_blas_library("cublaslt"); torch._C._set_sm_carveout_experimental(132 - n2)
    try:
        for (M, N, Kd) in ((8192, 8192, 8192), (4096, 4096, 7168), (4096, 7168, 4096)):
            a, b, o = pin.take(M, Kd), pin.take(N, Kd).t(), pout.take(M, N)
            vf = [lambda: torch.mm(a, b, out=o)]
            with torch.cuda.stream(sv):
                for _ in range(3): vf[0]()
                r0 = bench(vf, graph=False, flush=False, maxms=60)
            for (cn, B, wp) in (("heavy", 16384, 32), ("light", 2048, 4)):
                if over(dl, "green"): return
                share_pair("gemm", {"M": M, "N": N, "K": Kd, "gemm_sms": n2, "copy_sms": n1}, vf, 2.0 * M * N * Kd, 2 * (M * Kd + N * Kd + M * N), r0, cn, B, wp, n1,
                           "green contexts: disjoint SMs, %d for the copy and %d for cuBLASLt (carve-out %d), %d threads per block; " % (n1, n2, 132 - n2, wp * 32), sv, sc, cs, cd, 3 if SM else 7)
    finally:
        torch._C._set_sm_carveout_experimental(None); torch.backends.cuda.preferred_blas_library(BLAS0)


def a6(dl):
    bf = torch.bfloat16
    secs = 0.3 if SM else 1.7
    load_triton()
    pin = Pool(3 * 2**29); pout = Pool(2**29, fill=False)
    # ---- idle
    if NVML:
        sync(); time.sleep(0.6 if not SM else .1); e0 = energy(); t0 = time.time(); time.sleep(1.6 if not SM else .2); e1 = energy(); t1 = time.time()
        c = NVML.nvmlDeviceGetClockInfo(NVH, NVML.NVML_CLOCK_SM)
        emit("A6", "power:idle", {}, "", dict(time_us=(t1 - t0) * 1e6, p20=0, p80=0, reps=1, method="idle"), 0, 0, "power_w=%.1f; window_s=%.2f; sm_mhz=%d; CUDA context alive, just after load" % ((e1 - e0) / (t1 - t0), t1 - t0, c))
        log("power idle %.1f W sm %d" % ((e1 - e0) / (t1 - t0), c))
    def gemm_set(M, N, Kd): return [(pin.take(M, Kd), pin.take(N, Kd).t(), pout.take(M, N)) for _ in range(max(1, nsets(2 * (M * Kd + N * Kd + M * N))))]
    def loop(fns, k):
        def f():
            for i in range(k): fns[i % len(fns)]()
        for fn in fns[:2]: fn()
        sync(); return capture(f)
    # ---- sharing
    try:
        s2 = torch.cuda.Stream(priority=-1)
        cs, cd = torch.randint(0, 1 << 30, (1 << 28,), device=DEV, dtype=torch.int32), torch.empty(1 << 28, device=DEV, dtype=torch.int32)     # 1 GiB each
        cfgs = [("heavy", 16384, 32, 20), ("light", 2048, 4, 20), ("heavy", 16384, 32, 8), ("heavy", 16384, 32, 40)]
        R = 3 if SM else 7
        def gemm_fns(M, N, Kd):
            ss = gemm_set(M, N, Kd); return [(lambda a=a, b=b, o=o: torch.mm(a, b, out=o)) for a, b, o in ss]
        rms_w = torch.randn(4096, device=DEV).to(bf)
        for lt in ((None, 20) if hasattr(torch._C, "_set_sm_carveout_experimental") else (None,)):
            try:
                if lt is not None:
                    torch.backends.cuda.preferred_blas_library("cublaslt"); torch._C._set_sm_carveout_experimental(lt)
            except Exception as e:
                log("carveout", e); continue
            vict = [("gemm", {"M": 8192, "N": 8192, "K": 8192}, gemm_fns(8192, 8192, 8192), 2 * 8192**3, 6 * 8192**2), ("gemm", {"M": 4096, "N": 4096, "K": 7168}, gemm_fns(4096, 4096, 7168), 2 * 4096 * 4096 * 7168, 2 * (4096 * 7168 * 2 + 4096 * 4096)),
                    ("gemm", {"M": 4096, "N": 7168, "K": 4096}, gemm_fns(4096, 7168, 4096), 2 * 4096 * 4096 * 7168, 2 * (4096 * 7168 * 2 + 4096 * 4096))]
            if lt is None:
                rx, ry = pin.take(32768, 4096), pout.take(32768, 4096)
                vict.append(("rmsnorm", {"rows": 32768, "hidden": 4096}, [lambda: t_rms(rx, rms_w, ry)], 4 * 32768 * 4096, 4 * 32768 * 4096))
                try:
                    for (M, N, Kd) in ((8192, 8192, 8192), (4096, 4096, 7168)):
                        ta, tb, to = pin.take(M, Kd), pin.take(N, Kd), pout.take(M, N)
                        if M == 4096:
                            t_pgemm(ta, tb, to, 132); log("tritongemm rel err %.1e" % relerr(to, torch.mm(ta, tb.t())))
                        for pr in (132, 112):
                            vict.append(("tritongemm", {"M": M, "N": N, "K": Kd, "programs": pr}, [lambda ta=ta, tb=tb, to=to, pr=pr: t_pgemm(ta, tb, to, pr)], 2.0 * M * N * Kd, 2 * (M * Kd + N * Kd + M * N)))
                except Exception as e:
                    log("tritongemm", str(e)[:400])
            for (vn, vs, vf, vfl, vby) in vict:
                for _ in range(3): vf[0]()
                r0 = bench(vf, graph=False, flush=False, maxms=60)
                for (ck, B, wp, grid) in (cfgs if lt is None and vn != "tritongemm" else cfgs[:2]):
                    if over(dl - (8 if SM else 30), "sharing"): break
                    nt = "copy on a high-priority stream, %d threads per block; cuBLAS%s; " % (wp * 32, " default" if lt is None else "Lt with SM carve-out %d" % lt)
                    if vn == "tritongemm": nt = "copy on a high-priority stream, %d threads per block; persistent Triton GEMM without clusters, %d programs; " % (wp * 32, vs["programs"])
                    share_pair(vn, vs, vf, vfl, vby, r0, ck, B, wp, grid, nt, S, s2, cs, cd, R)
        try:
            torch._C._set_sm_carveout_experimental(None); torch.backends.cuda.preferred_blas_library(BLAS0)
        except Exception:
            pass
        cs = cd = None
    except Exception as e:
        log("a6 share", traceback.format_exc()[-600:])
        if "CUDA error" in str(e): raise
    # ---- power
    def power(name, mk, k, by, fl, sh, dt, notes=""):
        if over(dl, "power " + name): return
        try:
            g = loop(mk(), k); power_loop(name, g, k, secs, by, fl, sh, dt, notes); g.reset()
        except Exception as e:
            log("power", name, str(e)[:250])
            if "CUDA error" in str(e): raise
    M = 8192
    power("gemm_bf16", lambda: [(lambda a=a, b=b, o=o: torch.mm(a, b, out=o)) for a, b, o in gemm_set(M, M, M)], 20, 6 * M * M, 2 * M**3, {"M": M, "N": M, "K": M}, "bf16", "random normal data")
    def f8():
        one = torch.ones((), device=DEV); a, b = pin.take(M, M).to(torch.float8_e4m3fn), pin.take(M, M).to(torch.float8_e4m3fn).t()
        return [lambda: torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=bf, use_fast_accum=True)]
    power("gemm_fp8", f8, 40, 4 * M * M, 2 * M**3, {"M": M, "N": M, "K": M}, "e4m3")
    x, y = pin.take(2**29), pout.take(2**29)
    power("copy", lambda: [lambda: y.copy_(x)], 20, 2**31, 0, {"bytes": 2**30}, "bf16", "1 GiB read + 1 GiB written per op")
    sdpa_kernel, BK = backends()
    for bk in ("flash", "cudnn"):
        try:
            with sdpa_kernel(BK[bk]):
                qq, kk, vv = (pin.take(2, 8192, h, 128).transpose(1, 2) for h in (32, 8, 8))
                power("attention_fwd_" + bk, lambda: [lambda: F.scaled_dot_product_attention(qq, kk, vv, is_causal=True, enable_gqa=True)], 10, 2 * 2 * 8192 * 128 * 80, 2 * 32 * 8192**2 * 256, {"B": 2, "H": 32, "KV": 8, "S": 8192, "D": 128}, "bf16")
        except Exception as e:
            log("power attn", bk, str(e)[:200])
    for m in (1, 64):
        ws = [(pin.take(m, 4096), pin.take(28672, 4096).t(), pout.take(m, 28672)) for _ in range(4)]
        power("gemv_decode_M%d" % m, lambda: [(lambda a=a, b=b, o=o: torch.mm(a, b, out=o)) for a, b, o in ws], 200, 2 * (28672 * 4096 + m * (4096 + 28672)), 2 * m * 28672 * 4096, {"M": m, "N": 28672, "K": 4096}, "bf16", "weights rotate over 4 copies (940 MB)")
    power("rmsnorm", lambda: [lambda a=pin.take(65536, 4096), b=pout.take(65536, 4096), w=torch.randn(4096, device=DEV).to(bf): t_rms(a, w, b)], 20, 4 * 65536 * 4096, 0, {"rows": 65536, "hidden": 4096}, "bf16")
    def grp():
        E, T, N, Kd = 8, 2048, 4096, 7168
        gm = getattr(torch, "_grouped_mm", None) or F.grouped_mm
        of = torch.full((E,), T, device=DEV).cumsum(0).to(torch.int32); a, b = pin.take(E * T, Kd), pin.take(E, N, Kd).transpose(-2, -1)
        return [lambda: gm(a, b, offs=of)]
    power("grouped_gemm_bf16", grp, 20, 2 * (16384 * (4096 + 7168) + 8 * 4096 * 7168), 2 * 16384 * 4096 * 7168, {"E": 8, "tokens_per_expert": 2048, "N": 4096, "K": 7168}, "bf16")
    def layer():      # forward of one Llama-8B layer without attention, 4096 tokens: the mix of a training stream
        T = 4096; x, w = pin.take(T, 4096), torch.randn(4096, device=DEV).to(bf); hn = torch.empty(T, 4096, device=DEV, dtype=bf)
        Wq, Wo, Wg, Wd = pin.take(6144, 4096), pin.take(4096, 4096), pin.take(28672, 4096), pin.take(4096, 14336); mm_ = torch.empty(T, 14336, device=DEV, dtype=bf)
        def f():
            t_rms(x, w, hn); F.linear(hn, Wq); F.linear(hn, Wo); t_rms(x, w, hn); gu = F.linear(hn, Wg); t_swiglu(gu, mm_); F.linear(mm_, Wd)
        return [f]
    power("layer_mix_llama8b", layer, 15, 0, 2 * 4096 * 4096 * (6144 + 4096 + 28672 + 14336), {"tokens": 4096}, "bf16", "rmsnorm, qkv, o, rmsnorm, gate_up, swiglu, down; no attention")
    power("gemm_bf16_M256", lambda: [(lambda a=a, b=b, o=o: torch.mm(a, b, out=o)) for a, b, o in gemm_set(256, 8192, 8192)], 200, 2 * (256 * 16384 + 8192 * 8192), 2 * 256 * 8192 * 8192, {"M": 256, "N": 8192, "K": 8192}, "bf16")
    power("gemm_bf16_4096x4096x7168", lambda: [(lambda a=a, b=b, o=o: torch.mm(a, b, out=o)) for a, b, o in gemm_set(4096, 4096, 7168)], 60, 2 * (4096 * 7168 * 2 + 4096 * 4096), 2 * 4096 * 4096 * 7168, {"M": 4096, "N": 4096, "K": 7168}, "bf16")


# ------------------------------------------------------------------------------------------------ worker
def meta():
    try:
        m = dict(blas=str(BLAS0), time=time.time(), torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(), python=sys.version)
        try:
            import triton as t_; m["triton"] = t_.__version__
        except Exception: pass
        pr = torch.cuda.get_device_properties(0); m["gpu"] = dict(name=pr.name, sms=pr.multi_processor_count, mem=pr.total_memory, l2=getattr(pr, "L2_cache_size", None), cc="%d.%d" % (pr.major, pr.minor))
        try: m["smi"] = subprocess.run(["nvidia-smi", "-q", "-d", "CLOCK,POWER,TEMPERATURE"], capture_output=True, text=True, timeout=10).stdout[:5000]
        except Exception: pass
        try: m["smi_head"] = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=10).stdout[:1500]
        except Exception: pass
        try: m["lscpu"] = subprocess.run(["lscpu"], capture_output=True, text=True, timeout=10).stdout[:1500]
        except Exception: pass
        try: m["cublas"] = subprocess.run([sys.executable, "-m", "pip", "list"], capture_output=True, text=True, timeout=15).stdout if SM else ""
        except Exception: pass
        json.dump(m, open(os.path.join(OUT, "meta.json"), "w"), indent=1)
    except Exception as e:
        log("meta", e)


def worker(a):
    global MODE
    MODE = a.mode
    t0 = time.time(); setup(); log("torch up %.1f s" % (time.time() - t0), torch.__version__)
    if not os.path.exists(os.path.join(OUT, "meta.json")): meta()
    new_pool()
    ends = json.loads(a.ends); prog = os.path.join(OUT, "progress.txt")
    for s in a.worker.split(","):
        with open(prog, "a") as f: f.write("start %s\n" % s)
        if time.time() > ends.get(s, 1e18):
            log("SKIP", s, "no time")
            with open(prog, "a") as f: f.write("end %s\n" % s)
            continue
        t0 = time.time(); n0 = sum(1 for _ in open(K.p))
        try:
            globals()[s](ends.get(s, time.time() + 60))
        except Exception:
            log("SECTION", s, "FAILED", traceback.format_exc()[-1500:])
        try:
            torch.set_grad_enabled(False); new_pool(); sync()
            x = torch.ones(4, device=DEV); assert float(x.sum()) == 4.0
        except Exception as e:
            log("context broken after", s, str(e)[:200])
            with open(prog, "a") as f: f.write("end %s\n" % s)
            os._exit(3)
        log("section", s, "%.1f s" % (time.time() - t0), "kernel rows", sum(1 for _ in open(K.p)) - n0)
        with open(prog, "a") as f: f.write("end %s\n" % s)
    sys.stdout.flush(); os._exit(0)


def warmcompile(a):
    global MODE, OUT
    MODE = "smoke"; OUT = os.path.join(OUT, "warm"); os.makedirs(OUT, exist_ok=True)
    os.environ["MEAS_T0"] = str(T00)
    setup(); new_pool(); pass
    os._exit(0)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("--mode", default="smoke"); p.add_argument("--total", type=float, default=110); p.add_argument("--sections", default="")
    p.add_argument("--worker"); p.add_argument("--ends"); p.add_argument("--monitor", action="store_true"); p.add_argument("--warmcompile", action="store_true"); p.add_argument("--nowarm", action="store_true"); p.add_argument("--third", action="store_true"); p.add_argument("--cool", action="store_true")
    a = p.parse_args()
    if a.monitor: monitor()
    elif a.worker: worker(a)
    elif a.warmcompile: warmcompile(a)
    else: driver(a)
