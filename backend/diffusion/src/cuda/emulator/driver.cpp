// A pretended CUDA driver with cuBLAS, to load before the real libraries (LD_PRELOAD).
//
// Programs built with the feature `cuda` then run without a GPU: memory is the processor's, the
// crate's kernels run as in the emulator, candle's by stand-ins, and products as cuBLAS documents
// them. All work is done when a call returns, so nothing about streams and events is shown.
// Functions that are missing here are the stub's, which say that there is no device.
#define EMULATOR
#include <stdint.h>

#include <mutex>

#include "../kernels/kernels.cu"
#include "candle_kernels.h"
#include "scheduler.h"

namespace {

// Values of CUresult, cublasStatus_t, cudaDataType and cublasComputeType_t.
enum { SUCCESS = 0, NOT_FOUND = 500 };
enum { INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { REAL_F32 = 0, REAL_BF16 = 14, COMPUTE_F32 = 68 };
enum { HAS_MEMORY_POOLS = 115 };

// Kernels run one at a time, whichever thread starts them.
std::recursive_mutex mutex;

struct Function {
    const Entry *entry;
    const candle::Call *call;
};

std::map<std::string, Function> functions;
std::map<std::string, long> launches;

// Handles are never looked into; they only must not be null.
int give(void **handle) {
    *handle = &functions;
    return SUCCESS;
}

int allocate(void **memory, size_t bytes) {
    *memory = malloc(bytes > 0 ? bytes : 1);
    // NaN, so that values which nobody wrote show.
    memset(*memory, 0xff, bytes);
    return SUCCESS;
}

int copy(void *to, const void *from, size_t bytes) {
    memmove(to, from, bytes);
    return SUCCESS;
}

// Says at the end what ran, for those who doubt it.
struct Report {
    ~Report() {
        long ours = 0, others = 0;
        for (auto &pair : launches) {
            (functions[pair.first].entry ? ours : others) += pair.second;
        }
        if (ours + others > 0) {
            printf("pretended driver: %ld launches of kernels of this crate, %ld of candle's\n", ours,
                   others);
        }
    }
} report;

float read(const void *values, int type, int64 index) {
    return type == REAL_F32 ? ((const float *)values)[index] : load(((const bf16 *)values)[index]);
}

} // namespace

#define API extern "C" int

API cuInit(unsigned int) {
    return SUCCESS;
}
API cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return SUCCESS;
}
API cuDeviceGetAttribute(int *value, int attribute, int) {
    *value = attribute == HAS_MEMORY_POOLS;
    return SUCCESS;
}
API cuDevicePrimaryCtxRetain(void **context, int) {
    return give(context);
}
API cuDevicePrimaryCtxRelease_v2(int) {
    return SUCCESS;
}
API cuCtxGetCurrent(void **context) {
    return give(context);
}
API cuCtxSetCurrent(void *) {
    return SUCCESS;
}
API cuCtxSynchronize() {
    return SUCCESS;
}
API cuStreamCreate(void **stream, unsigned int) {
    return give(stream);
}
API cuStreamDestroy_v2(void *) {
    return SUCCESS;
}
API cuStreamSynchronize(void *) {
    return SUCCESS;
}
API cuStreamWaitEvent(void *, void *, unsigned int) {
    return SUCCESS;
}
API cuStreamIsCapturing(void *, int *status) {
    *status = 0;
    return SUCCESS;
}
API cuEventCreate(void **event, unsigned int) {
    return give(event);
}
API cuEventRecord(void *, void *) {
    return SUCCESS;
}
API cuEventDestroy_v2(void *) {
    return SUCCESS;
}
API cuMemAlloc_v2(void **memory, size_t bytes) {
    return allocate(memory, bytes);
}
API cuMemAllocAsync(void **memory, size_t bytes, void *) {
    return allocate(memory, bytes);
}
API cuMemFree_v2(void *memory) {
    free(memory);
    return SUCCESS;
}
API cuMemFreeAsync(void *memory, void *) {
    free(memory);
    return SUCCESS;
}
API cuMemcpyHtoDAsync_v2(void *to, const void *from, size_t bytes, void *) {
    return copy(to, from, bytes);
}
API cuMemcpyDtoHAsync_v2(void *to, const void *from, size_t bytes, void *) {
    return copy(to, from, bytes);
}
API cuMemcpyDtoDAsync_v2(void *to, const void *from, size_t bytes, void *) {
    return copy(to, from, bytes);
}
API cuMemsetD8Async(void *memory, unsigned char value, size_t bytes, void *) {
    memset(memory, value, bytes);
    return SUCCESS;
}
API cuModuleLoadData(void **module, const void *) {
    return give(module);
}
API cuModuleUnload(void *) {
    return SUCCESS;
}

API cuModuleGetFunction(void **function, void *, const char *name) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    Function found = {};
    for (const Entry *entry : Entry::all()) {
        found.entry = strcmp(entry->name, name) == 0 ? entry : found.entry;
    }
    auto other = candle::kernels().find(name);
    if (other != candle::kernels().end()) {
        found.call = &other->second;
    }
    if (!found.entry && !found.call) {
        fprintf(stderr, "pretended driver: no kernel %s\n", name);
        return NOT_FOUND;
    }
    *function = &*functions.insert({name, found}).first;
    return SUCCESS;
}

API cuLaunchKernel(void *function, unsigned int x, unsigned int y, unsigned int z,
                   unsigned int threads, unsigned int, unsigned int, unsigned int, void *,
                   void **arguments, void **) {
    std::lock_guard<std::recursive_mutex> guard(mutex);
    auto &[name, found] = *static_cast<std::pair<const std::string, Function> *>(function);
    launches[name]++;
    if (found.call) {
        (*found.call)(arguments);
    } else {
        scheduler::launch(*found.entry, {x, y, z}, threads, arguments);
    }
    return SUCCESS;
}

API curandCreateGenerator(void **generator, int) {
    return give(generator);
}
API curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) {
    return SUCCESS;
}
API curandSetStream(void *, void *) {
    return SUCCESS;
}
API curandDestroyGenerator(void *) {
    return SUCCESS;
}
API cublasCreate_v2(void **handle) {
    return give(handle);
}
API cublasSetStream_v2(void *, void *) {
    return SUCCESS;
}
API cublasDestroy_v2(void *) {
    return SUCCESS;
}

API cublasGemmStridedBatchedEx(void *, int a_transposed, int b_transposed, int m, int n, int k,
                               const float *alpha, const void *a, int a_type, int lda,
                               int64 a_stride, const void *b, int b_type, int ldb, int64 b_stride,
                               const float *beta, void *c, int c_type, int ldc, int64 c_stride,
                               int batch, int compute, int) {
    bool types = a_type == b_type && (a_type == REAL_F32 || a_type == REAL_BF16) &&
                 (c_type == REAL_F32 || c_type == a_type);
    if (compute != COMPUTE_F32 || !types) {
        return NOT_SUPPORTED;
    }
    if (lda < (a_transposed ? k : m) || ldb < (b_transposed ? n : k) || ldc < m) {
        return INVALID_VALUE;
    }
    for (int64 entry = 0; entry < batch; entry++) {
        for (int64 column = 0; column < n; column++) {
            for (int64 row = 0; row < m; row++) {
                float sum = 0.0f;
                for (int64 i = 0; i < k; i++) {
                    int64 left = a_transposed ? i + row * lda : row + i * lda;
                    int64 right = b_transposed ? column + i * ldb : i + column * ldb;
                    sum += read(a, a_type, entry * a_stride + left) *
                           read(b, b_type, entry * b_stride + right);
                }
                int64 place = entry * c_stride + row + column * ldc;
                float kept = *beta == 0.0f ? 0.0f : *beta * read(c, c_type, place);
                float value = *alpha * sum + kept;
                c_type == REAL_F32 ? store((float *)c + place, value)
                                   : store((bf16 *)c + place, value);
            }
        }
    }
    return SUCCESS;
}
