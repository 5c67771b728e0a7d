//===- Expected.h - A value or an error text ----------------------------------------------------------===//
//
// text/ never throws and links no LLVM, so results that can fail are an Expected: a value, or one line of
// text (lowercase, no full stop) that says what was expected and what was found.
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_EXPECTED_H
#define ATTN_TEXT_EXPECTED_H

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace attn::text {

/// Why something failed: one line, lowercase, no full stop.
struct Error {
  std::string text;
};

template <typename T> class [[nodiscard]] Expected {
public:
  Expected(T value) : content(std::in_place_index<0>, std::move(value)) {}
  Expected(Error error) : content(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return content.index() == 0; }
  T &operator*() {
    assert(*this && "Expected holds an error");
    return *std::get_if<0>(&content);
  }
  const T &operator*() const {
    assert(*this && "Expected holds an error");
    return *std::get_if<0>(&content);
  }
  T *operator->() { return &**this; }
  const T *operator->() const { return &**this; }

  /// The error; only when the conversion to bool is false.
  const Error &error() const {
    assert(!*this && "Expected holds a value");
    return *std::get_if<1>(&content);
  }

private:
  std::variant<T, Error> content;
};

/// The result of an action without a value.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(Error error) : failure(std::move(error)), failed(true) {}

  explicit operator bool() const { return !failed; }
  const Error &error() const {
    assert(failed && "Status is a success");
    return failure;
  }

private:
  Error failure;
  bool failed = false;
};

} // namespace attn::text

#endif // ATTN_TEXT_EXPECTED_H
