//===- Config.cpp - Typed, bounded reading of config.json --------------------------------===//
#include "frontend/Config.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using llvm::StringRef;
using llvm::Twine;

namespace attnc {

namespace {
/// The value as JSON on one line, shortened.
std::string valueText(const llvm::json::Value &value) {
  if (value.getAsObject())
    return "an object";
  if (value.getAsArray())
    return "an array";
  if (std::optional<StringRef> text = value.getAsString())
    return quoted(*text);
  return llvm::formatv("{0}", value).str();
}
} // namespace

llvm::Expected<Config> Config::read(StringRef path) {
  llvm::Expected<llvm::json::Value> value = readJson(path);
  if (!value)
    return value.takeError();
  llvm::json::Object *object = value->getAsObject();
  if (!object)
    return fail(path + ": expected a JSON object");
  return Config(std::move(*object), path);
}

const llvm::json::Value *Config::find(StringRef keys) const {
  for (StringRef key : llvm::split(keys, '|'))
    if (const llvm::json::Value *value = lookUp(key))
      return value;
  return nullptr;
}

void Config::setDefault(StringRef key, llvm::json::Value value) {
  if (!lookUp(key))
    object[key] = std::move(value);
}

bool Config::isNull(StringRef key) const {
  const llvm::json::Value *value = object.get(key);
  return value && value->getAsNull();
}

const llvm::json::Value *Config::lookUp(StringRef key) const {
  const llvm::json::Object *within = &object;
  for (StringRef rest = key;;) {
    auto [name, inner] = rest.split('.');
    const llvm::json::Value *value = within->get(name);
    if (!value || value->getAsNull())
      return nullptr;
    if (inner.empty())
      return value;
    if (within = value->getAsObject(); !within)
      return nullptr;
    rest = inner;
  }
}

void Config::mismatch(StringRef keys, const Twine &what) {
  for (StringRef key : llvm::split(keys, '|')) {
    if (const llvm::json::Value *value = lookUp(key))
      return problems.add("expected '" + key + "' to be " + what + ", got " + valueText(*value));
  }
  problems.add("expected '" + keys.split('|').first + "' to be " + what + ", got none");
}

int64_t Config::integer(StringRef keys, int64_t min, int64_t max, std::optional<int64_t> fallback) {
  const llvm::json::Value *value = find(keys);
  if (!value && fallback)
    return *fallback;
  std::optional<int64_t> integer = value ? value->getAsInteger() : std::nullopt;
  if (integer && *integer >= min && *integer <= max)
    return *integer;
  mismatch(keys, "an integer from " + Twine(min) + " to " + Twine(max));
  return fallback.value_or(min);
}

double Config::number(StringRef keys, double min, double max, std::optional<double> fallback) {
  const llvm::json::Value *value = find(keys);
  if (!value && fallback)
    return *fallback;
  std::optional<double> number = value ? value->getAsNumber() : std::nullopt;
  if (number && *number >= min && *number <= max) // also refuses NaN
    return *number;
  mismatch(keys, "a number from " + valueText(min) + " to " + valueText(max));
  return fallback.value_or(min);
}

bool Config::flag(StringRef keys, std::optional<bool> fallback) {
  const llvm::json::Value *value = find(keys);
  if (!value && fallback)
    return *fallback;
  if (std::optional<bool> flag = value ? value->getAsBoolean() : std::nullopt)
    return *flag;
  mismatch(keys, "true or false");
  return fallback.value_or(false);
}

StringRef Config::string(StringRef keys, std::optional<StringRef> fallback) {
  const llvm::json::Value *value = find(keys);
  if (!value && fallback)
    return *fallback;
  if (std::optional<StringRef> text = value ? value->getAsString() : std::nullopt)
    return *text;
  mismatch(keys, "a string");
  return fallback.value_or("");
}

std::vector<int64_t> Config::integers(StringRef keys, int64_t min, int64_t max) {
  const llvm::json::Value *value = find(keys);
  if (!value)
    return {};
  llvm::SmallVector<const llvm::json::Value *> items;
  if (const llvm::json::Array *array = value->getAsArray())
    for (const llvm::json::Value &item : *array)
      items.push_back(&item);
  else
    items.push_back(value);
  std::vector<int64_t> result;
  for (const llvm::json::Value *item : items)
    if (std::optional<int64_t> integer = item->getAsInteger(); integer && *integer >= min && *integer <= max)
      result.push_back(*integer);
  if (result.size() == items.size() && result.size() <= 64)
    return result;
  mismatch(keys, "integers from " + Twine(min) + " to " + Twine(max) + ", at most 64");
  return {};
}

std::vector<double> Config::numbers(StringRef keys, size_t count, double min, double max) {
  const llvm::json::Value *value = find(keys);
  const llvm::json::Array *array = value ? value->getAsArray() : nullptr;
  std::vector<double> result;
  if (array && array->size() == count)
    for (const llvm::json::Value &item : *array)
      if (std::optional<double> number = item.getAsNumber(); number && *number >= min && *number <= max)
        result.push_back(*number);
  if (result.size() == count && array)
    return result;
  mismatch(keys, Twine(count) + " numbers from " + valueText(min) + " to " + valueText(max));
  return std::vector<double>(count, min);
}

std::vector<StringRef> Config::strings(StringRef keys) {
  const llvm::json::Value *value = find(keys);
  if (!value)
    return {};
  std::vector<StringRef> result;
  const llvm::json::Array *array = value->getAsArray();
  if (array)
    for (const llvm::json::Value &item : *array)
      if (std::optional<StringRef> text = item.getAsString())
        result.push_back(*text);
  if (array && result.size() == array->size())
    return result;
  mismatch(keys, "strings");
  return {};
}

void Config::expectDivisible(StringRef sizeKey, int64_t size, StringRef byKey, int64_t by) {
  if (size % by != 0)
    problem("expected '" + sizeKey + "' divisible by '" + byKey + "', got " + Twine(size) + " and " + Twine(by));
}

} // namespace attnc
