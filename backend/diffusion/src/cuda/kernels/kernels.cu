// All kernels, as one module.
#include "attention.cuh"
#include "group_norm.cuh"
#include "layer_norm.cuh"
#include "optimizer.cuh"
#include "pointwise.cuh"
#include "shape.cuh"
#include "sums.cuh"
