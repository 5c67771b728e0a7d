//===- Convert.h - Element types of weights, rounded to nearest even -----------------------===//
#ifndef ATTNC_BACKENDS_CONVERT_H
#define ATTNC_BACKENDS_CONVERT_H

#include <cstdint>
#include <cstring>

namespace attnc {

/// Storage of bf16 and f16 elements; no arithmetic.
struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

inline uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Selects, not branches: these run in vectorised loops.

inline float toFloat(float value) { return value; }
inline float toFloat(BFloat16 value) { return floatOf((uint32_t)value.bits << 16); }
inline float toFloat(Float16 value) {
  uint32_t sign = (uint32_t)(value.bits & 0x8000) << 16, rest = value.bits & 0x7fff;
  uint32_t normal = (rest << 13) + (112u << 23);
  uint32_t special = (rest << 13) | 0x7f800000u;                       // inf and NaN
  uint32_t small = bitsOf((float)(int32_t)rest * (1.0f / 16777216.0f)); // subnormals: multiples of 2^-24
  return floatOf(sign | (rest >= 0x7c00 ? special : rest < 0x0400 ? small : normal));
}

/// Rounds to odd, so that rounding the result once more, to 16 bits, is as good as rounding once.
inline float toFloatOdd(double value) {
  float nearest = (float)value;
  if (value != value || (double)nearest == value)
    return nearest;
  uint32_t bits = bitsOf(nearest);
  double magnitude = value < 0 ? -value : value, got = nearest < 0 ? -(double)nearest : (double)nearest;
  if (got > magnitude)
    --bits; // toward zero; infinity becomes the largest number
  return floatOf(bits | 1);
}

template <typename T> T fromFloat(float value);
template <> inline float fromFloat<float>(float value) { return value; }
template <> inline BFloat16 fromFloat<BFloat16>(float value) {
  uint32_t bits = bitsOf(value);
  uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
  bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return {(uint16_t)((nan ? bits | 0x00400000u : rounded) >> 16)};
}
template <> inline Float16 fromFloat<Float16>(float value) {
  uint32_t bits = bitsOf(value), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
  uint32_t normal = (rest + 0xc8000fffu + ((rest >> 13) & 1)) >> 13;
  // Adding 0.5 leaves a multiple of 2^-24, rounded, in the low bits.
  uint32_t small = bitsOf(floatOf(rest < 0x38800000u ? rest : 0) + 0.5f) - bitsOf(0.5f);
  uint32_t nan = 0x7e00u | ((rest >> 13) & 0x3ffu);
  uint32_t magnitude = rest > 0x7f800000u ? nan : rest >= 0x477ff000u ? 0x7c00u : rest < 0x38800000u ? small : normal;
  return {(uint16_t)(sign | magnitude)};
}

/// Any stored element to any other, rounded once to nearest even.
template <typename To, typename From> To convert(From value) {
  if constexpr (__is_same(From, double)) {
    if constexpr (__is_same(To, float))
      return (float)value;
    else
      return fromFloat<To>(toFloatOdd(value));
  } else {
    return fromFloat<To>(toFloat(value));
  }
}

} // namespace attnc

#endif // ATTNC_BACKENDS_CONVERT_H
