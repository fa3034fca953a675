// The rows of attention between its matrix products: softmax, and the gradient of the scores.
#pragma once
#include "common.cuh"

// Softmax of each row of scores; blocks count rows by head, then query. Query `first + row` sees
// all keys, or with `causal` those up to itself.
template <typename T>
__device__ void attention_weights(const float *scores, const float *bias, T *weights, int rows,
                                  int keys, int first, int causal, int biased) {
    const float *from = scores + (int64)blockIdx.x * keys;
    T *to = weights + (int64)blockIdx.x * keys;
    int visible = causal ? first + (int)(blockIdx.x % rows) + 1 : keys;
    float peak = -INFINITY;
    for (int i = threadIdx.x; i < visible; i += blockDim.x) {
        peak = fmaxf(peak, from[i] + (biased ? bias[i] : 0.0f));
    }
    peak = block_max(peak);
    float sum = 0.0f;
    for (int i = threadIdx.x; i < visible; i += blockDim.x) {
        sum += expf(from[i] + (biased ? bias[i] : 0.0f) - peak);
    }
    float inverse = 1.0f / block_sum(sum);
    for (int i = threadIdx.x; i < keys; i += blockDim.x) {
        float score = i < visible ? from[i] + (biased ? bias[i] : 0.0f) : -INFINITY;
        store(to + i, expf(score - peak) * inverse);
    }
}

// `ds = p * (dp - sum(p dp)) * scale` for each row, `p` the weights and `dp` their gradient.
template <typename T>
__device__ void attention_scores_gradient(const T *weights, const float *dp, T *ds, int keys,
                                          float scale) {
    int64 start = (int64)blockIdx.x * keys;
    float dot = 0.0f;
    for (int i = threadIdx.x; i < keys; i += blockDim.x) {
        dot += load(weights[start + i]) * dp[start + i];
    }
    dot = block_sum(dot);
    for (int i = threadIdx.x; i < keys; i += blockDim.x) {
        store(ds + start + i, load(weights[start + i]) * (dp[start + i] - dot) * scale);
    }
}

#define ATTENTION(T, S)                                                                            \
    KERNEL(attention_weights, S,                                                                   \
           (const float *scores, const float *bias, T *weights, int rows, int keys, int first,     \
            int causal, int biased),                                                               \
           attention_weights(scores, bias, weights, rows, keys, first, causal, biased))            \
    KERNEL(attention_scores_gradient, S,                                                           \
           (const T *weights, const float *dp, T *ds, int keys, float scale),                      \
           attention_scores_gradient(weights, dp, ds, keys, scale))
FOR_BOTH_TYPES(ATTENTION)
