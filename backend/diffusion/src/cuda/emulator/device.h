// What a kernel sees of the GPU, on a processor: names of the language, one thread at a time.
#pragma once
#include <math.h>
#include <string.h>

#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__

struct Dimensions {
    unsigned int x, y, z;
};

struct float2 {
    float x, y;
};

struct bf16;

// Set by the scheduler before a thread goes on.
extern Dimensions threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
float __shfl_xor_sync(unsigned int mask, float x, int offset);

// Memory that every block finds filled with NaN.
void *shared_memory(size_t bytes);

#define SHARED(type, name, count)                                                                  \
    static type *name = static_cast<type *>(shared_memory((count) * sizeof(type)))

inline float2 make_float2(float x, float y) {
    return {x, y};
}

inline float __uint_as_float(unsigned int bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

inline unsigned int __float_as_uint(float x) {
    unsigned int bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

inline int min(int x, int y) {
    return x < y ? x : y;
}

// One letter for each type a kernel may take: what the caller says must be the same.
template <typename T> struct Letter;
template <> struct Letter<int> {
    static const char value = 'i';
};
template <> struct Letter<long long> {
    static const char value = 'l';
};
template <> struct Letter<float> {
    static const char value = 'r';
};
template <> struct Letter<float *> {
    static const char value = 'f';
};
template <> struct Letter<const float *> {
    static const char value = 'f';
};
template <> struct Letter<bf16 *> {
    static const char value = 'b';
};
template <> struct Letter<const bf16 *> {
    static const char value = 'b';
};

// A kernel by name, callable with pointers to its arguments as a driver does.
struct Entry {
    const char *name;
    std::string letters;
    void (*function)();
    void (*call)(void (*)(), void *const *);

    template <typename... Types> Entry(const char *name, void (*kernel)(Types...)) : name(name) {
        letters = std::string({Letter<Types>::value...});
        function = reinterpret_cast<void (*)()>(kernel);
        call = [](void (*function)(), void *const *arguments) {
            apply(reinterpret_cast<void (*)(Types...)>(function), arguments,
                  std::index_sequence_for<Types...>());
        };
        all().push_back(this);
    }

    static std::vector<Entry *> &all() {
        static std::vector<Entry *> entries;
        return entries;
    }

  private:
    template <typename... Types, size_t... Index>
    static void apply(void (*kernel)(Types...), void *const *arguments,
                      std::index_sequence<Index...>) {
        kernel(*static_cast<Types *>(arguments[Index])...);
    }
};

#define ENTRY(name) static Entry entry_##name(#name, name);
