//===- Numbers.cpp - Functions of numbers that generated code calls -----------------------------===//
#include "test/cuda/emulator/Numbers.h"
#include "test/cuda/emulator/Machine.h"

#include <cmath>
#include <cstring>

using namespace emulator;

static float asFloat(uint32_t bits) {
  float number;
  memcpy(&number, &bits, 4);
  return number;
}

static uint32_t asBits(float number) {
  uint32_t bits;
  memcpy(&bits, &number, 4);
  return bits;
}

static float fromF16(uint16_t bits) {
  const uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
  float magnitude;
  if (exponent == 31)
    magnitude = fraction ? NAN : INFINITY;
  else if (exponent)
    magnitude = ldexpf(float(1024 + fraction), int(exponent) - 25);
  else
    magnitude = ldexpf(float(fraction), -24);
  return bits >> 15 ? -magnitude : magnitude;
}

float emulator::toFloat(NumberType type, uint32_t bits, uint32_t half) {
  const uint16_t part = uint16_t(half ? bits >> 16 : bits);
  switch (type) {
  case NumberType::f16:
    return fromF16(part);
  case NumberType::bf16:
    return asFloat(uint32_t(part) << 16);
  case NumberType::tf32:
    return asFloat(bits & ~0x1fffu);
  }
  return NAN;
}

/// cvt.rna.tf32.f32: to the nearest, ties away from zero. cvt.rn: ties to even.
ATTN_EMULATOR_FUNCTION uint32_t attn_emulator_to_tf32(float number, uint32_t tiesToEven) {
  const uint32_t bits = asBits(number);
  if (std::isnan(number))
    return 0x7fffffff;
  if (std::isinf(number))
    return bits;
  return (bits + (tiesToEven ? 0xfff + (bits >> 13 & 1) : 0x1000)) & ~0x1fffu;
}

ATTN_EMULATOR_FUNCTION float attn_emulator_rcp(float x) { return 1.0f / x; }
ATTN_EMULATOR_FUNCTION float attn_emulator_rsqrt(float x) { return float(1.0 / std::sqrt(double(x))); }

#if defined(__x86_64__)
// What LLVM calls for bf16, and Debian's libgcc lacks. __bf16 is returned in a vector register.
typedef unsigned short Bits __attribute__((vector_size(16)));
static Bits toBf16(float x) {
  const uint32_t bits = asBits(x), rounded = x != x ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
  return Bits{(unsigned short)(rounded >> 16)};
}
ATTN_EMULATOR_FUNCTION Bits __truncsfbf2(float x) { return toBf16(x); }
ATTN_EMULATOR_FUNCTION Bits __truncdfbf2(double x) { return toBf16(float(x)); }
#endif
