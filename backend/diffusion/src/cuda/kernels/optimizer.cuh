// Updates in place: AdamW and the moving average. Parameters and state are f32.
#pragma once
#include "common.cuh"

template <typename T>
__device__ void adamw(float *values, const T *gradient, float *first, float *second, float keep,
                      float beta1, float beta2, float step_size, float second_scale, float epsilon,
                      int64 total) {
    for (int64 i = first_index(); i < total; i += all_threads()) {
        float g = load(gradient[i]);
        first[i] += (1.0f - beta1) * (g - first[i]);
        second[i] = beta2 * second[i] + (1.0f - beta2) * g * g;
        float scale = sqrtf(second[i]) * second_scale + epsilon;
        values[i] = values[i] * keep - step_size * first[i] / scale;
    }
}

template <typename T>
__device__ void approach(float *average, const T *target, float keep, int64 total) {
    for (int64 i = first_index(); i < total; i += all_threads()) {
        average[i] += (1.0f - keep) * (load(target[i]) - average[i]);
    }
}

#define OPTIMIZER(T, S)                                                                            \
    KERNEL(adamw, S,                                                                               \
           (float *values, const T *gradient, float *first, float *second, float keep,             \
            float beta1, float beta2, float step_size, float second_scale, float epsilon,          \
            int64 total),                                                                          \
           adamw(values, gradient, first, second, keep, beta1, beta2, step_size, second_scale,     \
                 epsilon, total))                                                                  \
    KERNEL(approach, S, (float *average, const T *target, float keep, int64 total),                \
           approach(average, target, keep, total))
FOR_BOTH_TYPES(OPTIMIZER)
