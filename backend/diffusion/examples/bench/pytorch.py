"""The other side of the benchmark: the same jobs in PyTorch, diffusers and transformers.

    python pytorch.py FOLDER [--compile]     # a job a line in, its times a line out
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel

STEPS, GUIDANCE = 20, 7.5


def spread(tensor):
    """Root of the mean square: the number that both sides must agree on."""
    return tensor.double().square().mean().sqrt().item()


def load(kind, place, name="diffusion_pytorch_model"):
    model = kind.from_config(json.loads((place / "config.json").read_text()))
    model.load_state_dict(load_file(place / f"{name}.safetensors"))
    return model


class Training:
    def __init__(self, place, inputs, compiled):
        self.model, self.inputs = load(UNet2DConditionModel, place), inputs
        self.call = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)

    def run(self):
        start = time.perf_counter()
        inputs = self.inputs
        prediction = self.call(inputs["latents"], inputs["timesteps"], inputs["context"]).sample
        loss = ((prediction - inputs["target"]) ** 2).mean()
        forward = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        backward = time.perf_counter()
        self.optimizer.step()
        end = time.perf_counter()
        times = dict(forward=forward - start, backward=backward - forward,
                     optimizer=end - backward, step=end - start)
        return times, loss.item()


class Sampling:
    def __init__(self, place, inputs, _compiled):
        self.model, self.noise = load(UNet2DConditionModel, place), inputs["latents"]
        self.context = torch.cat([torch.zeros_like(inputs["context"]), inputs["context"]])

    def run(self):
        start = time.perf_counter()
        scheduler = DPMSolverMultistepScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="leading")
        scheduler.set_timesteps(STEPS)
        with torch.inference_mode():
            latents = self.noise * scheduler.init_noise_sigma
            for timestep in scheduler.timesteps:
                doubled = scheduler.scale_model_input(torch.cat([latents, latents]), timestep)
                empty, prompt = self.model(doubled, timestep, self.context).sample.chunk(2)
                latents = scheduler.step(empty + GUIDANCE * (prompt - empty), timestep, latents).prev_sample
        return dict(sampling=time.perf_counter() - start), spread(latents)


class Coding:
    def __init__(self, place, inputs, _compiled):
        self.model, self.inputs = load(AutoencoderKL, place), inputs


class Encode(Coding):
    def run(self):
        start = time.perf_counter()
        with torch.inference_mode():
            result = self.model.encode(self.inputs["pixels"]).latent_dist.mode() * self.model.config.scaling_factor
        return dict(encode=time.perf_counter() - start), spread(result)


class Decode(Coding):
    def run(self):
        start = time.perf_counter()
        with torch.inference_mode():
            result = self.model.decode(self.inputs["latents"] / self.model.config.scaling_factor).sample
        return dict(decode=time.perf_counter() - start), spread(result)


class Text:
    def __init__(self, place, inputs, _compiled):
        config = CLIPTextConfig(**json.loads((place / "config.json").read_text()))
        self.model, self.ids = CLIPTextModel(config).eval(), inputs["ids"].long()
        weights = load_file(place / "model.safetensors")
        # Some versions of transformers drop this prefix in memory.
        if not next(iter(self.model.state_dict())).startswith("text_model."):
            weights = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
        missing, unexpected = self.model.load_state_dict(weights, strict=False)
        assert not unexpected and all(name.endswith("position_ids") for name in missing), (missing, unexpected)

    def run(self):
        start = time.perf_counter()
        with torch.inference_mode():
            states = self.model(input_ids=self.ids).last_hidden_state
        return dict(text=time.perf_counter() - start), spread(states)


KINDS = dict(train=Training, sample=Sampling, encode=Encode, decode=Decode, text=Text)


def main():
    folder, compiled = Path(sys.argv[1]), "--compile" in sys.argv
    cases = {}
    for line in sys.stdin:
        if line not in cases:
            job = json.loads(line)
            place = folder / job["model"]
            inputs = {name: tensor[:job["batch"]].contiguous()
                      for name, tensor in load_file(place / "inputs.safetensors").items()}
            cases[line] = job["threads"], KINDS[job["kind"]](place, inputs, compiled)
        threads, case = cases[line]
        torch.set_num_threads(threads)
        times, check = case.run()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        times = {phase: 1e3 * seconds for phase, seconds in times.items()}
        print(json.dumps(dict(times=times, check=check, peak=peak)), flush=True)


main()
