"""The other side of cuda_bench.rs: the same training step in diffusers, bf16 over f32 masters.

    python cuda_bench.py [STEPS] [BATCH]
"""

import statistics
import sys
import threading
import time

import torch
from diffusers import UNet2DConditionModel

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 20
BATCH = int(sys.argv[2]) if len(sys.argv) > 2 else 1
WARM_UP = 3

peak, stop = 0, threading.Event()


def watch():
    """Largest use of device memory, by all programs together, as cuda_bench.rs takes it."""
    global peak
    while not stop.is_set():
        free, total = torch.cuda.mem_get_info()
        peak = max(peak, total - free)
        time.sleep(0.002)


def main():
    torch.manual_seed(7)
    # Products of f32 in full, as on the other side; bf16 is untouched by it.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    model = UNet2DConditionModel(cross_attention_dim=768).cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    latents = torch.randn(BATCH, 4, 64, 64, device="cuda")
    target = torch.randn(BATCH, 4, 64, 64, device="cuda")
    context = torch.randn(BATCH, 77, 768, device="cuda")
    timesteps = torch.randn(BATCH, device="cuda").abs() * 300
    times = []
    for _ in range(WARM_UP + STEPS):
        start = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16):
            prediction = model(latents, timesteps, context).sample
        loss = ((prediction.float() - target) ** 2).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        last = loss.item()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    median = statistics.median(times[WARM_UP:])
    count = sum(parameter.numel() for parameter in model.parameters())
    stop.set()
    print(
        f"diffusers: {count / 1e6:.1f} M parameters, batch {BATCH}, median {1e3 * median:.1f} ms, "
        f"{1 / median:.2f} steps/s, {peak / 1e9:.2f} GB of device memory in use, loss {last:.5f}"
    )


if not torch.cuda.is_available():
    sys.exit("there is no CUDA device")
thread = threading.Thread(target=watch, daemon=True)
thread.start()
main()
