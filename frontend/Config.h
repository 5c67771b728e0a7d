//===- Config.h - Typed, bounded reading of config.json ----------------------------------===//
#ifndef ATTNC_FRONTEND_CONFIG_H
#define ATTNC_FRONTEND_CONFIG_H

#include "frontend/Problems.h"

#include <optional>
#include <vector>

namespace attnc {

/// A JSON object read by typed getters. A getter that meets a wrong value notes the problem and returns the fallback
/// (or the least allowed value), so that an importer reads everything first and reports all problems together:
///
///   int64_t width = config.integer("n_embd", 1, 1 << 20, 768);
///   if (llvm::Error error = config.takeProblems()) return error;
///
/// `null` counts as absent. A key may have aliases separated by `|`; the first one present is read. `a.b` is the value of
/// `b` in the object that is the value of `a`.
class Config {
public:
  /// Reads a file that holds one JSON object.
  static llvm::Expected<Config> read(llvm::StringRef path);
  Config(llvm::json::Object object, llvm::StringRef path) : object(std::move(object)), path(path) {}

  /// The value of the first of the aliases `keys` that is there and not null, or null.
  const llvm::json::Value *find(llvm::StringRef keys) const;

  /// What `find` sees where `key` is absent or null.
  void setDefault(llvm::StringRef key, llvm::json::Value value);
  /// Whether `key` is there and null, which for some keys differs from absent.
  bool isNull(llvm::StringRef key) const;

  /// An integer in [min, max]; without `fallback` it must be there.
  int64_t integer(llvm::StringRef keys, int64_t min, int64_t max, std::optional<int64_t> fallback = {});
  /// A finite number in [min, max].
  double number(llvm::StringRef keys, double min, double max, std::optional<double> fallback = {});
  bool flag(llvm::StringRef keys, std::optional<bool> fallback = {});
  /// Valid as long as this object.
  llvm::StringRef string(llvm::StringRef keys, std::optional<llvm::StringRef> fallback = {});
  /// One integer in [min, max], or a list of at most 64; empty if absent.
  std::vector<int64_t> integers(llvm::StringRef keys, int64_t min, int64_t max);
  /// A list of `count` numbers in [min, max]; it must be there.
  std::vector<double> numbers(llvm::StringRef keys, size_t count, double min, double max);
  /// A list of strings; empty if absent. Valid as long as this object.
  std::vector<llvm::StringRef> strings(llvm::StringRef keys);

  /// Notes a problem unless `size`, the value of one key, is a multiple of `by`, that of another.
  void expectDivisible(llvm::StringRef sizeKey, int64_t size, llvm::StringRef byKey, int64_t by);
  /// Notes a problem that concerns several values.
  void problem(const llvm::Twine &text) { problems.add(text); }
  /// All problems noted so far, each on a line that begins with the file, or success.
  llvm::Error takeProblems() { return problems.take(path); }

  llvm::StringRef getPath() const { return path; }

private:
  const llvm::json::Value *lookUp(llvm::StringRef key) const;
  /// Notes "expected 'KEY' to be WHAT, got VALUE" (or "got none").
  void mismatch(llvm::StringRef keys, const llvm::Twine &what);

  llvm::json::Object object;
  std::string path;
  Problems problems;
};

} // namespace attnc

#endif // ATTNC_FRONTEND_CONFIG_H
