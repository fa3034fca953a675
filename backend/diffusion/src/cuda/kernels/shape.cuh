// Values that move: nearest upsampling, transposes, and the patches of a convolution.
#pragma once
#include "common.cuh"

// Pixel `i` of a side of `n` is pixel `floor(i * m / n)` of a side of `m`; one block a plane.
template <typename T>
__device__ void upsample(const T *xs, T *ys, int height, int width, int to_height, int to_width) {
    const T *from = xs + (int64)blockIdx.x * height * width;
    T *to = ys + (int64)blockIdx.x * to_height * to_width;
    for (int i = threadIdx.x; i < to_height * to_width; i += blockDim.x) {
        int row = i / to_width * height / to_height, column = i % to_width * width / to_width;
        to[i] = from[row * width + column];
    }
}

// First pixel of the larger side that shows pixel `i` of the smaller.
__device__ inline int first_copy(int i, int small, int large) {
    return (i * large + small - 1) / small;
}

// Each pixel of the smaller plane gets the sum over its copies.
template <typename T>
__device__ void upsample_gradient(const T *gradient, T *dx, int height, int width, int to_height,
                                  int to_width) {
    const T *from = gradient + (int64)blockIdx.x * to_height * to_width;
    T *to = dx + (int64)blockIdx.x * height * width;
    for (int i = threadIdx.x; i < height * width; i += blockDim.x) {
        int y = i / width, x = i % width;
        int bottom = first_copy(y + 1, height, to_height);
        int right = first_copy(x + 1, width, to_width);
        float sum = 0.0f;
        for (int row = first_copy(y, height, to_height); row < bottom; row++) {
            for (int column = first_copy(x, width, to_width); column < right; column++) {
                sum += load(from[row * to_width + column]);
            }
        }
        store(to + i, sum);
    }
}

// Transposes matrices of `rows` by `columns`: tiles of 32 in x (columns) and y (rows), matrices
// in z. Both reads and writes run along rows; the odd stride keeps the banks apart.
template <typename T> __device__ void transpose(const T *xs, T *ys, int rows, int columns) {
    SHARED(T, tile, 32 * 33);
    int64 start = (int64)blockIdx.z * rows * columns;
    int left = blockIdx.x * 32, top = blockIdx.y * 32;
    for (int i = warp(); i < 32; i += blockDim.x / 32) {
        if (top + i < rows && left + lane() < columns) {
            tile[i * 33 + lane()] = xs[start + (int64)(top + i) * columns + left + lane()];
        }
    }
    __syncthreads();
    for (int i = warp(); i < 32; i += blockDim.x / 32) {
        if (left + i < columns && top + lane() < rows) {
            ys[start + (int64)(left + i) * rows + top + lane()] = tile[lane() * 33 + i];
        }
    }
}

// Sizes of a convolution, and the output pixels `first .. first + count` that a call covers.
struct Patches {
    int height, width, kernel_height, kernel_width, out_width, stride, padding, first, count;
};

// `patches[image][channel, u, v][pixel]`: blocks cover pixels in x, channels in y, images in z.
template <typename T> __device__ void gather_patches(const T *xs, T *patches, Patches s) {
    int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= s.count) {
        return;
    }
    int64 plane = (int64)blockIdx.z * gridDim.y + blockIdx.y;
    const T *from = xs + plane * s.height * s.width;
    T *to = patches + plane * s.kernel_height * s.kernel_width * s.count + pixel;
    int top = (s.first + pixel) / s.out_width * s.stride - s.padding;
    int left = (s.first + pixel) % s.out_width * s.stride - s.padding;
    for (int u = 0; u < s.kernel_height; u++) {
        for (int v = 0; v < s.kernel_width; v++) {
            int y = top + u, x = left + v;
            bool inside = y >= 0 && y < s.height && x >= 0 && x < s.width;
            T value = {};
            *to = inside ? from[y * s.width + x] : value;
            to += s.count;
        }
    }
}

// Sums the gradient of patches over the patches that hold a pixel of the input: blocks cover
// input pixels in x, channels in y, images in z. With `add`, on top of what is there.
template <typename T>
__device__ void scatter_patches(const T *patches, T *dx, Patches s, int add) {
    int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= s.height * s.width) {
        return;
    }
    int64 plane = (int64)blockIdx.z * gridDim.y + blockIdx.y;
    const T *from = patches + plane * s.kernel_height * s.kernel_width * s.count;
    T *to = dx + plane * s.height * s.width + pixel;
    float sum = add ? load(*to) : 0.0f;
    for (int u = 0; u < s.kernel_height; u++) {
        for (int v = 0; v < s.kernel_width; v++) {
            int y = pixel / s.width + s.padding - u, x = pixel % s.width + s.padding - v;
            bool fits = y >= 0 && x >= 0 && y % s.stride == 0 && x % s.stride == 0 &&
                        x / s.stride < s.out_width;
            int index = y / s.stride * s.out_width + x / s.stride - s.first;
            if (fits && index >= 0 && index < s.count) {
                sum += load(from[(int64)(u * s.kernel_width + v) * s.count + index]);
            }
        }
    }
    store(to, sum);
}

#define PATCH_SIZES                                                                                \
    int height, int width, int kernel_height, int kernel_width, int out_width, int stride,         \
        int padding, int first, int count
#define PATCH_SIZES_OF                                                                             \
    Patches{height, width, kernel_height, kernel_width, out_width, stride, padding, first, count}
#define SHAPE(T, S)                                                                                \
    KERNEL(upsample, S,                                                                            \
           (const T *xs, T *ys, int height, int width, int to_height, int to_width),               \
           upsample(xs, ys, height, width, to_height, to_width))                                   \
    KERNEL(upsample_gradient, S,                                                                   \
           (const T *gradient, T *dx, int height, int width, int to_height, int to_width),         \
           upsample_gradient(gradient, dx, height, width, to_height, to_width))                    \
    KERNEL(transpose, S, (const T *xs, T *ys, int rows, int columns),                              \
           transpose(xs, ys, rows, columns))                                                       \
    KERNEL(gather_patches, S, (const T *xs, T *patches, PATCH_SIZES),                              \
           gather_patches(xs, patches, PATCH_SIZES_OF))                                            \
    KERNEL(scatter_patches, S, (const T *patches, T *dx, PATCH_SIZES, int add),                    \
           scatter_patches(patches, dx, PATCH_SIZES_OF, add))
FOR_BOTH_TYPES(SHAPE)
