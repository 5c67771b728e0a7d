// file-test.cpp: loading, ABI checks, weights beside and inside, damaged files.
#include "runtime-test.h"

#include <sys/stat.h>

extern "C" const attn_library *attn_query(uint32_t) { return nullptr; } // a linked model of a newer ABI

namespace {

std::string fake(const char *suffix = "") { return std::string(FAKE_MODEL) + suffix; }

void expectLoadError(const std::string &path, int32_t code, const std::string &part) {
  Error error;
  attn_file *file = reinterpret_cast<attn_file *>(1);
  expectError(attn_file_load(path.c_str(), &file, &error), error, code, part);
  EXPECT_EQ(file, nullptr);
}

TEST(File, LoadsAndDescribes) {
  Error error;
  attn_file *file = nullptr;
  ASSERT_EQ(attn_file_load(FAKE_MODEL, &file, &error), 0) << error.text;
  const attn_library *library = attn_file_library(file);
  EXPECT_STREQ(library->name, "fake");
  EXPECT_STREQ(attn_file_path(file), FAKE_MODEL);
  EXPECT_EQ(attn_library_find(library, "forward"), 0);
  EXPECT_EQ(attn_library_find(library, "nothing"), -1);
  EXPECT_STREQ(attn_library_entry(library, 1)->name, "prefill");
  EXPECT_EQ(attn_entry_find_dim(attn_library_entry(library, 1), "keys"), 2);
  EXPECT_EQ(attn_entry_find_dim(attn_library_entry(library, 1), "none"), -1);
  attn_file_free(file);
  attn_file_free(nullptr);
}

TEST(File, OtherAbi) {
  expectLoadError(fake(".abi2"), ATTN_ABI_MISMATCH, "has another ABI: expected version 1, got 2; compile it again");
  expectLoadError(fake(".newer"), ATTN_ABI_MISMATCH, "needs a newer ABI than version 1: update the runtime");
  expectLoadError(fake(".short"), ATTN_ABI_MISMATCH, "has a short table: expected " + std::to_string(offsetof(attn_library, pool_bytes)) + " bytes, got ");
  expectLoadError(fake(".bad"), ATTN_CORRUPT_FILE, "has a damaged table: name, build id or metadata missing");
}

TEST(File, NotAModel) {
  TempDir dir;
  expectLoadError(fake(".other"), ATTN_INVALID_ARGUMENT, "is not a model file: it has no symbol attn_query");
  expectLoadError(dir.path("missing"), ATTN_IO, "could not open '" + dir.path("missing") + "': No such file");
  expectLoadError(dir.path(""), ATTN_IO, "not a file");
  expectLoadError(dir.write("empty", ""), ATTN_INVALID_ARGUMENT, "expected a 64-bit shared library");
  expectLoadError(dir.write("text", std::string(1000, 'x')), ATTN_INVALID_ARGUMENT, "is not a model file");
  ASSERT_EQ(mkfifo(dir.path("pipe").c_str(), 0600), 0);
  expectLoadError(dir.path("pipe"), ATTN_IO, "not a file");
}

TEST(File, Truncated) {
  TempDir dir;
  std::string whole = readFile(FAKE_MODEL);
  for (size_t bytes : {size_t(10), size_t(63)})
    expectLoadError(dir.write("cut", whole.substr(0, bytes)), ATTN_INVALID_ARGUMENT, "is not a model file");
  expectLoadError(dir.write("cut64", whole.substr(0, 64)), ATTN_CORRUPT_FILE, "program headers are missing");
  expectLoadError(dir.write("cut1000", whole.substr(0, 1000)), ATTN_CORRUPT_FILE, "is truncated: expected at least");
  // Every length down to nothing: either a clear error, or (only section headers lost) a sound model.
  for (size_t bytes = 0; bytes < whole.size(); bytes += 997) {
    Error error;
    attn_file *file = nullptr;
    std::string path = dir.write("cut-" + std::to_string(bytes), whole.substr(0, bytes));
    if (attn_file_load(path.c_str(), &file, &error) != 0) {
      EXPECT_NE(error.str(), "");
    }
    attn_file_free(file);
  }
}

TEST(File, DamagedElfHeader) {
  TempDir dir;
  std::string whole = readFile(FAKE_MODEL), copy = whole;
  copy[18] = 0x55; // e_machine
  expectLoadError(dir.write("machine", copy), ATTN_CPU_UNSUPPORTED, "is for another processor: expected");
  copy = whole;
  copy[56] = copy[57] = 0; // e_phnum
  expectLoadError(dir.write("phnum", copy), ATTN_CORRUPT_FILE, "no program headers");
  copy = whole;
  for (int i = 32; i < 40; ++i) // e_phoff
    copy[i] = '\xff';
  expectLoadError(dir.write("phoff", copy), ATTN_CORRUPT_FILE, "program headers are missing");
  copy = whole;
  for (int i = 0; i < 16; ++i) { // every p_filesz
    size_t at = 64 + i * 56 + 32;
    copy.replace(at, 8, 8, '\xff');
  }
  expectLoadError(dir.write("filesz", copy), ATTN_CORRUPT_FILE, "is truncated");
  copy = whole;
  copy[4] = 1; // 32 bit
  expectLoadError(dir.write("class", copy), ATTN_INVALID_ARGUMENT, "expected a 64-bit shared library");
}

TEST(File, LinkedModel) {
  Error error;
  attn_file *file = nullptr;
  expectError(attn_file_link(attn_query, nullptr, &file, &error), error, ATTN_ABI_MISMATCH,
              "'the linked model' needs a newer ABI");
  EXPECT_EQ(file, nullptr);
}

// The fake model's table with one thing wrong.
attn_library table;
std::vector<attn_entry> tableEntries;
const attn_library *queryTable(uint32_t) { return &table; }

TEST(File, DamagedTables) {
  Fake fake;
  attn_dim badDim = {"n", 5, 4}, namelessDim = {nullptr, 1, 4};
  attn_tensor_info badRank = {"x", f32, 0, 9, {}}, badDimension = {"x", f32, 0, 1, {-9}},
                   nameless = {nullptr, f32, 0, 0, {}};
  attn_variant namelessVariant = {nullptr};
  attn_embedded_file namelessFile = {nullptr, "x", 1}, emptyFile = {"config.json", nullptr, 1};
  auto check = [&](const char *part, auto damage) {
    table = *fake.library;
    tableEntries.assign(fake.library->entries, fake.library->entries + 2);
    table.entries = tableEntries.data();
    table.n_entries = 2;
    Error error;
    attn_file *file = nullptr;
    ASSERT_EQ(attn_file_link(queryTable, "linked", &file, &error), 0) << error.text;
    attn_file_free(file);
    damage();
    expectError(attn_file_link(queryTable, "linked", &file, &error), error, ATTN_CORRUPT_FILE,
                std::string("'linked' has a damaged table: ") + part);
    EXPECT_EQ(file, nullptr);
  };
  check("name, build id or metadata missing", [&] { table.json = nullptr; });
  check("no entries or no variants", [&] { table.n_entries = 0; });
  check("no entries or no variants", [&] { table.variants = nullptr; });
  check("a function is missing", [&] { table.state_op = nullptr; });
  check("weights smaller than their header", [&] { table.weights_bytes = 63; });
  check("weights are neither inside nor beside the file", [&] { table.weights = nullptr; });
  check("weights are neither inside nor beside the file", [&] { table.weights = nullptr, table.weights_file = ""; });
  check("entries of unexpected size", [&] { tableEntries[0].size = 8; });
  check("entries of unexpected size", [&] { tableEntries[0].size += 1; });
  check("a variant without name", [&] { table.variants = &namelessVariant, table.n_variants = 1; });
  check("a damaged entry", [&] { tableEntries[1].name = nullptr; });
  check("a damaged entry", [&] { tableEntries[1].in = nullptr; });
  check("a damaged entry", [&] { tableEntries[1].dims = &badDim, tableEntries[1].n_dims = 1; });
  check("a damaged entry", [&] { tableEntries[1].dims = &namelessDim, tableEntries[1].n_dims = 1; });
  check("a damaged embedded file", [&] { table.n_files = 1; });
  check("a damaged embedded file", [&] { table.n_files = 1, table.files = &namelessFile; });
  check("a damaged embedded file", [&] { table.n_files = 1, table.files = &emptyFile; });
  for (attn_tensor_info *info : {&badRank, &badDimension, &nameless})
    check("a damaged entry", [&] { tableEntries[0].out = info, tableEntries[0].n_out = 1; });
}

TEST(File, EmbeddedFiles) {
  attn_embedded_file config = {"config.json", "{}", 2};
  const attn_embedded_file *files = &config;
  Fake fake;
  EXPECT_EQ(attn_library_files(fake.library, &files), 0u);
  table = *fake.library;
  table.n_files = 1;
  table.files = &config;
  EXPECT_EQ(attn_library_files(&table, &files), 1u);
  EXPECT_STREQ(files[0].name, "config.json");
  table.size = offsetof(attn_library, n_files); // an older file
  EXPECT_EQ(attn_library_files(&table, &files), 0u);
  EXPECT_EQ(files, nullptr);
}

TEST(File, Variants) {
  Fake fake;
  Error error;
  attn_model *model = nullptr;
  EXPECT_STREQ(fake.library->variant(fake.model), "fast");
  EXPECT_EQ(attn_file_open(fake.file, fake.host, "plain", &model, &error), 0);
  EXPECT_STREQ(fake.library->variant(model), "plain");
  fake.library->close(model);
  expectError(attn_file_open(fake.file, fake.host, "never", &model, &error), error, ATTN_CPU_UNSUPPORTED, "never");
  EXPECT_EQ(model, nullptr);
}

// A copy of the model and its weights in a directory of their own.
struct Beside {
  TempDir dir;
  std::string header, payload;
  Error error;
  attn_file *file = nullptr;
  attn_runtime *runtime = nullptr;
  attn_model *model = nullptr;

  Beside() {
    // Inside the other build of the same model lie the right bytes.
    std::string whole = readFile(FAKE_MODEL);
    size_t at = whole.find("ATTNNTW1");
    header = whole.substr(at, 64);
    payload = whole.substr(at + 64, 64);
    dir.write("m.so", readFile(fake(".beside")));
    EXPECT_EQ(attn_runtime_create(nullptr, &runtime, &error), 0);
    EXPECT_EQ(attn_file_load(dir.path("m.so").c_str(), &file, &error), 0) << error.text;
  }
  ~Beside() {
    if (model)
      attn_file_library(file)->close(model);
    attn_file_free(file);
    attn_runtime_free(runtime);
  }
  void weights(const std::string &bytes) { dir.write("fake.weights", bytes); }
  int32_t open() { return attn_file_open(file, attn_runtime_host(runtime), nullptr, &model, &error); }
  int32_t verify() { return attn_file_verify(file, nullptr, &error); }
};

TEST(Weights, Beside) {
  Beside b;
  b.weights(b.header + b.payload);
  EXPECT_EQ(b.open(), 0) << b.error.text;
  EXPECT_EQ(b.verify(), 0) << b.error.text;
}

TEST(Weights, BesideMissing) {
  Beside b;
  expectError(b.open(), b.error, ATTN_IO, "could not open the model's weights '" + b.dir.path("fake.weights") + "': No");
  mkdir(b.dir.path("fake.weights").c_str(), 0700);
  expectError(b.open(), b.error, ATTN_IO, "not a file");
}

TEST(Weights, BesideWrongSize) {
  Beside b;
  b.weights(b.header + b.payload.substr(1));
  expectError(b.open(), b.error, ATTN_CORRUPT_FILE, "do not belong to the model: expected 128 bytes, got 127");
  b.weights("");
  expectError(b.verify(), b.error, ATTN_CORRUPT_FILE, "expected 128 bytes, got 0");
}

TEST(Weights, BesideDamaged) {
  Beside b;
  b.payload[63] ^= 1;
  b.weights(b.header + b.payload);
  EXPECT_EQ(b.open(), 0) << b.error.text; // not read at load
  expectError(b.verify(), b.error, ATTN_CORRUPT_FILE, "weights are damaged: expected hash 101fc40ce7f1f785, got ");
}

TEST(Weights, BesideOfAnotherBuild) {
  Beside b;
  b.header[20] = 'x';
  b.weights(b.header + b.payload);
  expectError(b.open(), b.error, ATTN_CORRUPT_FILE, "weights do not belong to this model");
  expectError(b.verify(), b.error, ATTN_CORRUPT_FILE,
              "weights are of another build: expected 0123456789abcdef0123456789abcdef, got 0123x");
}

TEST(Weights, BesideWrongMagicOrBytes) {
  Beside b;
  std::string good = b.header;
  b.header[0] = 'B';
  b.weights(b.header + b.payload);
  expectError(b.verify(), b.error, ATTN_CORRUPT_FILE, "wrong magic: expected 3157544e4e545441, got 3157544e4e545442");
  Beside c;
  c.header[8] = 1;
  c.weights(c.header + c.payload);
  expectError(c.verify(), c.error, ATTN_CORRUPT_FILE, "weights have the wrong size: expected 128 bytes, got 1");
}

TEST(Weights, Inside) {
  Fake f;
  uint64_t hash = 0;
  EXPECT_EQ(attn_file_verify(f.file, &hash, &f.error), 0) << f.error.text;
  EXPECT_EQ(hash, 0x101fc40ce7f1f785u);
  attn_file *file = nullptr;
  ASSERT_EQ(attn_file_load(fake(".badhash").c_str(), &file, &f.error), 0);
  expectError(attn_file_verify(file, &hash, &f.error), f.error, ATTN_CORRUPT_FILE, "weights are damaged");
  attn_file_free(file);
}

} // namespace
