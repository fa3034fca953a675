// The kernels of candle that models and their gradients call, as plain functions.
//
// They are not what is tested: their own sources are candle's. Names and arguments are those of
// candle-kernels 0.11; the grid is ignored, as each call does all the work.
#pragma once
#include <math.h>
#include <stdint.h>

#include <functional>
#include <map>
#include <string>

#include "../kernels/common.cuh"

namespace candle {

using Call = std::function<void(void *const *)>;

template <typename T> T argument(void *const *arguments, int index) {
    return *static_cast<const T *>(arguments[index]);
}

// A tensor's values by index: dims and strides lie one after the other, or nothing if contiguous.
struct Strided {
    size_t dims_count;
    const size_t *dims;
    const size_t *strides;

    size_t at(size_t index) const {
        if (dims == nullptr) {
            return index;
        }
        size_t place = 0;
        for (size_t d = dims_count; d-- > 0;) {
            place += index % dims[d] * strides[d];
            index /= dims[d];
        }
        return place;
    }
};

// The tensor of the arguments `count, dims_count, info`; a second one has its strides behind.
inline Strided strided(void *const *a, int operand = 0, int from = 1) {
    size_t count = argument<size_t>(a, from);
    const size_t *info = argument<const size_t *>(a, from + 1);
    return {count, info, info + (operand + 1) * count};
}

template <typename From, typename To> Call unary(float (*function)(float)) {
    return [function](void *const *a) {
        const From *xs = argument<const From *>(a, 3);
        To *ys = argument<To *>(a, 4);
        Strided place = strided(a);
        for (size_t i = 0; i < argument<size_t>(a, 0); i++) {
            // Without an input the operation is in place.
            store(ys + i, function(xs ? load(xs[place.at(i)]) : load(((const From *)ys)[i])));
        }
    };
}

template <typename T> Call binary(float (*function)(float, float)) {
    return [function](void *const *a) {
        const T *left = argument<const T *>(a, 3), *right = argument<const T *>(a, 4);
        T *ys = argument<T *>(a, 5);
        Strided first = strided(a), second = strided(a, 1);
        for (size_t i = 0; i < argument<size_t>(a, 0); i++) {
            store(ys + i, function(load(left[first.at(i)]), load(right[second.at(i)])));
        }
    };
}

template <typename T> void affine(void *const *a) {
    const T *xs = argument<const T *>(a, 3);
    T *ys = argument<T *>(a, 4);
    float factor = load(argument<T>(a, 5)), added = load(argument<T>(a, 6));
    Strided place = strided(a);
    for (size_t i = 0; i < argument<size_t>(a, 0); i++) {
        store(ys + i, (xs ? load(xs[place.at(i)]) : load(ys[i])) * factor + added);
    }
}

template <typename T> void const_set(void *const *a) {
    Strided place = strided(a);
    for (size_t i = 0; i < argument<size_t>(a, 0); i++) {
        argument<T *>(a, 4)[place.at(i)] = argument<T>(a, 3);
    }
}

template <typename T> void copy2d(void *const *a) {
    const T *from = argument<const T *>(a, 0);
    T *to = argument<T *>(a, 1);
    for (uint32_t row = 0; row < argument<uint32_t>(a, 2); row++) {
        for (uint32_t column = 0; column < argument<uint32_t>(a, 3); column++) {
            to[row * argument<uint32_t>(a, 5) + column] =
                from[row * argument<uint32_t>(a, 4) + column];
        }
    }
}

// Sums of `length` values each; how many depends on the kernel.
template <typename T> void sums(void *const *a, size_t count) {
    const T *xs = argument<const T *>(a, 4);
    size_t length = argument<size_t>(a, 1);
    Strided place = strided(a, 0, 2);
    for (size_t i = 0; i < count; i++) {
        double sum = 0.0;
        for (size_t j = i * length; j < (i + 1) * length; j++) {
            sum += load(xs[place.at(j)]);
        }
        store(argument<T *>(a, 5) + i, (float)sum);
    }
}

template <typename T> void add_kernels(std::map<std::string, Call> &all, const std::string &suffix) {
    auto put = [&](const char *name, Call call) { all[name + suffix] = call; };
    put("ucopy", unary<T, T>([](float x) { return x; }));
    put("usqr", unary<T, T>([](float x) { return x * x; }));
    put("usin", unary<T, T>([](float x) { return sinf(x); }));
    put("ucos", unary<T, T>([](float x) { return cosf(x); }));
    put("badd", binary<T>([](float x, float y) { return x + y; }));
    put("bsub", binary<T>([](float x, float y) { return x - y; }));
    put("bmul", binary<T>([](float x, float y) { return x * y; }));
    put("bdiv", binary<T>([](float x, float y) { return x / y; }));
    put("affine", affine<T>);
    put("const_set", const_set<T>);
    put("copy2d", copy2d<T>);
    put("fast_sum", [](void *const *a) {
        sums<T>(a, argument<size_t>(a, 0) / argument<size_t>(a, 1));
    });
    put("fast_sum_small", [](void *const *a) { sums<T>(a, argument<size_t>(a, 0)); });
}

// Every kernel by its name.
inline const std::map<std::string, Call> &kernels() {
    static const std::map<std::string, Call> all = [] {
        std::map<std::string, Call> all;
        add_kernels<float>(all, "_f32");
        add_kernels<bf16>(all, "_bf16");
        all["cast_f32_bf16"] = unary<float, bf16>([](float x) { return x; });
        all["cast_bf16_f32"] = unary<bf16, float>([](float x) { return x; });
        return all;
    }();
    return all;
}

} // namespace candle
