//===- Json.cpp - Reading JSON files that may be hostile -----------------------------------------------===//

#include "Json.h"

#include "Utf8.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/stat.h>

namespace attn::text {

using nlohmann::json;

Expected<std::string> readFile(const std::string &path, uint64_t maxBytes) {
  std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file)
    return Error{"cannot open '" + path + "': " + std::strerror(errno)};
  struct stat info;
  if (fstat(fileno(file.get()), &info) == 0 && S_ISDIR(info.st_mode))
    return Error{"'" + path + "' is a directory"};

  // The size is checked while reading: pipes have none, and a file may grow.
  std::string content;
  char buffer[1 << 16];
  while (size_t got = std::fread(buffer, 1, sizeof buffer, file.get())) {
    if (content.size() + got > maxBytes)
      return Error{"'" + path + "' has more than " + std::to_string(maxBytes) + " bytes, which is the limit"};
    content.append(buffer, got);
  }
  if (std::ferror(file.get()))
    return Error{"cannot read '" + path + "': " + std::strerror(errno)};
  return content;
}

/// Deepest nesting of arrays and objects, or a number above the limit as soon as it is passed. The text need
/// not be valid: this runs before the parser does.
static unsigned nestingDepth(std::string_view text) {
  unsigned depth = 0, deepest = 0;
  bool inString = false;
  for (size_t i = 0; i < text.size() && deepest <= maxJsonDepth; ++i) {
    char c = text[i];
    if (inString) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

Expected<json> parseJson(std::string_view text, const std::string &name) {
  if (text.size() > maxJsonBytes)
    return Error{name + ": more than " + std::to_string(maxJsonBytes) + " bytes, which is the limit"};
  if (nestingDepth(text) > maxJsonDepth)
    return Error{name + ": nested deeper than " + std::to_string(maxJsonDepth) + " levels"};
  try {
    return json::parse(text.begin(), text.end());
  } catch (const json::parse_error &error) {
    return Error{name + ": not valid json at byte " + std::to_string(error.byte)};
  } catch (const std::exception &) { // numbers out of range, out of memory
    return Error{name + ": cannot be parsed as json"};
  }
}

Expected<json> loadOptionalJson(const Files &files, const std::string &name) {
  Expected<std::optional<std::string>> content = files.read(name);
  if (!content)
    return content.error();
  return *content ? parseJson(**content, files.pathOf(name)) : json();
}

Expected<json> loadOptionalObject(const Files &files, const std::string &name) {
  Expected<json> value = loadOptionalJson(files, name);
  if (value && !value->is_null())
    if (Status status = JsonRef(*value, files.pathOf(name)).expectObject(); !status)
      return status.error();
  return value;
}

static const json nullValue;

JsonRef JsonRef::get(const char *key) const {
  std::string inner = path.empty() ? key : path + "." + key;
  if (!value->is_object())
    return {nullValue, file, inner};
  auto found = value->find(key);
  return {found == value->end() ? nullValue : *found, file, inner};
}

JsonRef JsonRef::at(size_t index) const {
  bool inside = value->is_array() && index < value->size();
  return {inside ? (*value)[index] : nullValue, file, path + "[" + std::to_string(index) + "]"};
}

Error JsonRef::fail(const std::string &text) const { return {file + ": " + (path.empty() ? "" : path + ": ") + text}; }

Error JsonRef::expected(const char *what) const {
  const char *kind = "null";
  if (value->is_object())
    kind = "an object";
  else if (value->is_array())
    kind = "an array";
  else if (value->is_string())
    kind = "a string";
  else if (value->is_boolean())
    kind = "a boolean";
  else if (value->is_number())
    kind = "another number";
  return fail(std::string("expected ") + what + ", got " + kind);
}

Expected<bool> JsonRef::getBool(const char *key, bool missing) const {
  JsonRef member = get(key);
  if (member.isNull())
    return missing;
  if (!member->is_boolean())
    return member.expected("a boolean");
  return *member->get_ptr<const json::boolean_t *>();
}

Status JsonRef::expectObject() const {
  if (!value->is_object())
    return expected("an object");
  return {};
}

Status JsonRef::expectArray() const {
  if (!value->is_array())
    return expected("an array");
  return {};
}

Expected<std::string> JsonRef::string() const {
  if (!value->is_string())
    return expected("a string");
  return *value->get_ptr<const json::string_t *>();
}

Expected<int64_t> JsonRef::id() const {
  if (value->is_number_unsigned()) {
    uint64_t number = *value->get_ptr<const json::number_unsigned_t *>();
    if (number < uint64_t(1) << 31)
      return static_cast<int64_t>(number);
  }
  return expected("an integer of 0 to 2147483647");
}

std::string inQuotes(std::string_view text) {
  std::string result = "'";
  for (size_t i = 0; i < text.size();) {
    if (i >= 60) {
      result += "…";
      break;
    }
    Utf8Step step = readUtf8(text, i);
    if (step.kind == Utf8Step::Valid && step.codePoint >= 0x20 && step.codePoint != 0x7F) {
      result.append(text.substr(i, step.bytes));
    } else {
      for (size_t k = 0; k < step.bytes; ++k) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\x%02X", static_cast<unsigned char>(text[i + k]));
        result += escape;
      }
    }
    i += step.bytes;
  }
  return result + "'";
}

} // namespace attn::text
