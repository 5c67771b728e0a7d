//===- Numbers.cpp - Functions of numbers that generated code calls -----------------------------===//
#include "test/cuda/emulator/Machine.h"

#include <cmath>
#include <cstring>

ATTN_EMULATOR_FUNCTION float attn_emulator_rcp(float x) { return 1.0f / x; }
ATTN_EMULATOR_FUNCTION float attn_emulator_rsqrt(float x) { return float(1.0 / std::sqrt(double(x))); }

#if defined(__x86_64__)
// What LLVM calls for bf16, and Debian's libgcc lacks. __bf16 is returned in a vector register.
typedef unsigned short Bits __attribute__((vector_size(16)));
static Bits toBf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  const uint32_t rounded = x != x ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
  return Bits{(unsigned short)(rounded >> 16)};
}
ATTN_EMULATOR_FUNCTION Bits __truncsfbf2(float x) { return toBf16(x); }
ATTN_EMULATOR_FUNCTION Bits __truncdfbf2(double x) { return toBf16(float(x)); }
#endif
