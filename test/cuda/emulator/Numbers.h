//===- Numbers.h - Elements of matrices ---------------------------------------------------------===//
#ifndef ATTN_TEST_CUDA_NUMBERS_H
#define ATTN_TEST_CUDA_NUMBERS_H

#include <cstdint>

namespace emulator {

/// As attn-emulate numbers them.
enum class NumberType : uint32_t { f16, bf16, tf32 };

/// The first or second 16-bit number of a register, or the only one of tf32, whose low 13 bits do not count.
float toFloat(NumberType type, uint32_t bits, uint32_t half);

} // namespace emulator

#endif // ATTN_TEST_CUDA_NUMBERS_H
