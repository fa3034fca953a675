"""The step of step_bench.rs in PyTorch and diffusers, on the same weights and batch.

    step_bench 10 FOLDER                       # writes FOLDER, times this package
    python step_bench.py FOLDER [STEPS] [THREADS]
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

folder = Path(sys.argv[1])
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 10
torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
config = json.loads((folder / "config.json").read_text())
model = UNet2DConditionModel.from_config(config)
model.load_state_dict(load_file(folder / "unet.safetensors"))
batch = load_file(folder / "batch.safetensors")
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
times = []
for step in range(steps + 2):
    if step == 2:
        processor = time.process_time()
    start = time.perf_counter()
    prediction = model(batch["latents"], batch["timesteps"], batch["context"]).sample
    loss = ((prediction - batch["target"]) ** 2).mean()
    forward = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    backward = time.perf_counter()
    optimizer.step()
    end = time.perf_counter()
    times.append([1e3 * (point - start) for point in (forward, backward, end)])
processor = 1e3 * (time.process_time() - processor) / steps
times = sorted(times[2:], key=lambda row: row[2])
forward, backward, total = times[len(times) // 2]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"threads {torch.get_num_threads()} median {total:.1f} ms (forward {forward:.1f}, "
      f"backward {backward - forward:.1f}, optimizer {total - backward:.1f}), "
      f"fastest {times[0][2]:.1f} ms, processor {processor:.0f} ms, peak {peak:.0f} MB, loss {loss.item():.6f}")
