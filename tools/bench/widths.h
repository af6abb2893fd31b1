// One word for "build this loop once for each width of vector and let the program choose at start".
// For plain loops of benches, where the engine's own choice of kernels must not be involved. Any
// thread. Always holds: without such a choice (other processors; sanitizers, which cannot watch one
// being made before they have started) the loop is built once and gives the same results.
#pragma once

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VECSERVE_BENCH_WIDTHS [[gnu::target_clones("avx512f", "avx2", "default")]]
#else
#define VECSERVE_BENCH_WIDTHS
#endif
