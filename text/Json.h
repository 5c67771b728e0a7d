//===- Json.h - Reading JSON files that may be hostile -------------------------------------------------===//
//
// nlohmann::json with limits on size and nesting and with accessors that return errors instead of throwing.
// Errors name the place: "tokenizer.json: model.vocab: expected an object, got a string".
//
//===--------------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEXT_JSON_H
#define ATTN_TEXT_JSON_H

#include "Files.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace attn::text {

/// Files above this many bytes are refused (the largest tokenizer.json in use is about 35 MB).
constexpr uint64_t maxJsonBytes = uint64_t(256) << 20;
/// Values nested deeper than this are refused (a tokenizer.json needs about 8).
constexpr unsigned maxJsonDepth = 64;

/// Reads a whole regular file of at most `maxBytes` bytes. Errors: "cannot open 'F': …", "cannot read 'F': …",
/// "'F' is a directory", "'F' has N bytes, at most M are supported".
Expected<std::string> readFile(const std::string &path, uint64_t maxBytes);

/// Parses one JSON value. `name` starts every error text.
Expected<nlohmann::json> parseJson(std::string_view text, const std::string &name);

/// The value in the file `name`, or null when there is no such file.
Expected<nlohmann::json> loadOptionalJson(const Files &files, const std::string &name);
/// The same where anything but an object is an error.
Expected<nlohmann::json> loadOptionalObject(const Files &files, const std::string &name);

/// A value with the path that leads to it, for error texts.
class JsonRef {
public:
  /// The root value of `file`, or the value at `path` ("model.vocab") inside it.
  JsonRef(const nlohmann::json &value, std::string file, std::string path = "")
      : value(&value), file(std::move(file)), path(std::move(path)) {}

  const nlohmann::json &operator*() const { return *value; }
  const nlohmann::json *operator->() const { return value; }

  /// The member `key` of this object, or a null value when it is missing (or this is null).
  JsonRef get(const char *key) const;
  JsonRef at(size_t index) const;

  bool isNull() const { return value->is_null(); }
  /// The boolean member `key`; `missing` when absent or null.
  Expected<bool> getBool(const char *key, bool missing) const;

  Status expectObject() const;
  Status expectArray() const;
  Expected<std::string> string() const;
  /// An integer in [0, 2^31), as every token id is.
  Expected<int64_t> id() const;

  /// An error at this place: "FILE: PATH: TEXT".
  Error fail(const std::string &text) const;
  /// "FILE: PATH: expected WHAT, got a string".
  Error expected(const char *what) const;

private:
  const nlohmann::json *value;
  std::string file, path;
};

/// `text` in single quotes for an error message: control characters escaped, cut off after 60 bytes.
std::string inQuotes(std::string_view text);

} // namespace attn::text

#endif // ATTN_TEXT_JSON_H
