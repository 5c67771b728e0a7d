//===- Link.cpp - Object files to a shared library, an archive or one object --------------------------===//
#include "backends/cpu/Link.h"

#include "lld/Common/Driver.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Object/ArchiveWriter.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

LLD_HAS_DRIVER(elf)

namespace attnc {
using namespace llvm;

static Error fail(const Twine &message) { return createStringError(inconvertibleErrorCode(), message); }

/// Of the segment that holds the weights, in the file and in memory: pages of 64 KiB exist.
static constexpr uint64_t kWeightsAlign = 64 << 10;

/// Text, constants, what the dynamic linker patches and then protects, and last the weights, which have no bytes yet.
/// Each begins at the largest page that the architecture has: 4 KiB on x86-64, 64 KiB on AArch64.
static std::string linkerScript(uint64_t weightsBytes) {
  std::string script = R"(
PHDRS {
  constants PT_LOAD FILEHDR PHDRS FLAGS(4);
  text PT_LOAD FLAGS(5);
  relro PT_LOAD FLAGS(6);
  data PT_LOAD FLAGS(6);
  weights PT_LOAD FLAGS(4);
  dynamic PT_DYNAMIC FLAGS(6);
  protect PT_GNU_RELRO FLAGS(4);
  stack PT_GNU_STACK FLAGS(6);
}
SECTIONS {
  . = SIZEOF_HEADERS;
  .dynsym : { *(.dynsym) } :constants
  .gnu.hash : { *(.gnu.hash) }
  .hash : { *(.hash) }
  .dynstr : { *(.dynstr) }
  .rela.dyn : { *(.rela.dyn) }
  .rela.plt : { *(.rela.plt) }
  .relr.dyn : { *(.relr.dyn) }
  .rodata : { *(.rodata .rodata.*) }
  .eh_frame : { KEEP(*(.eh_frame)) }
  . = ALIGN(CONSTANT(MAXPAGESIZE));
  .text : { *(.text .text.*) } :text
  .plt : { *(.plt) }
  . = ALIGN(CONSTANT(MAXPAGESIZE));
  .data.rel.ro : { *(.data.rel.ro .data.rel.ro.*) } :relro :protect
  .dynamic : { *(.dynamic) } :relro :protect :dynamic
  .got : { *(.got) *(.got.plt) } :relro :protect
  . = ALIGN(CONSTANT(MAXPAGESIZE));
  .data : { *(.data .data.*) } :data
  .bss : { *(.bss .bss.*) } :data
)";
  if (weightsBytes)
    script += "  . = ALIGN(" + std::to_string(kWeightsAlign) + ");\n  .attn_weights (NOLOAD) : { HIDDEN(attn_weights = .); . += " +
              std::to_string(weightsBytes) + "; } :weights\n";
  // One index of names per object does not make one index of the file.
  return script + "  /DISCARD/ : { *(.comment) *(.note.GNU-stack) *(.llvm_addrsig) *(.debug_names) }\n}\n";
}

//===----------------------------------------------------------------------===//
// lld
//===----------------------------------------------------------------------===//

namespace {
/// A directory that goes away with everything in it.
class TemporaryDirectory {
public:
  Error create() {
    if (std::error_code error = sys::fs::createUniqueDirectory("attnc", path))
      return fail("could not make a temporary directory: " + error.message());
    return Error::success();
  }
  ~TemporaryDirectory() {
    if (!path.empty())
      sys::fs::remove_directories(path);
  }
  std::string file(const Twine &name) const {
    SmallString<128> result(path);
    sys::path::append(result, name);
    return std::string(result);
  }

private:
  SmallString<128> path;
};
} // namespace

static Error writeFile(StringRef path, StringRef bytes) {
  std::error_code error;
  raw_fd_ostream stream(path, error);
  if (!error) {
    stream << bytes;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  return error ? fail("could not write '" + path + "': " + error.message()) : Error::success();
}

/// Runs lld over the objects; reads its output.
static Expected<LinkedFile> link(ArrayRef<CodeObject> objects, std::vector<std::string> flags,
                                 const std::string *script) {
  static bool canRun = true;
  if (!canRun)
    return fail("internal error: the linker cannot run again after it failed");
  TemporaryDirectory directory;
  if (Error error = directory.create())
    return std::move(error);
  std::vector<std::string> args = {"ld.lld", "-o", directory.file("model"), "--build-id=none", "--threads=1"};
  args.insert(args.end(), flags.begin(), flags.end());
  if (script) {
    args.push_back("--script=" + directory.file("script"));
    if (Error error = writeFile(directory.file("script"), *script))
      return std::move(error);
  }
  for (const CodeObject &object : objects) {
    args.push_back(directory.file(object.name + ".o"));
    if (Error error = writeFile(args.back(), object.bytes))
      return std::move(error);
  }
  std::vector<const char *> pointers;
  for (const std::string &arg : args)
    pointers.push_back(arg.c_str());
  std::string text;
  raw_string_ostream stream(text);
  lld::Result result = lld::lldMain(pointers, stream, stream, {{lld::Gnu, &lld::elf::link}});
  canRun = result.canRunAgain;
  if (result.retCode != 0)
    return fail("internal error: the linker failed: " + StringRef(text).take_until([](char c) { return c == '\n'; }));
  auto buffer = MemoryBuffer::getFile(directory.file("model"));
  if (!buffer)
    return fail("could not read the linker's output: " + buffer.getError().message());
  LinkedFile file;
  file.bytes = (*buffer)->getBuffer();
  return file;
}

//===----------------------------------------------------------------------===//
// Weights at the end of the file
//===----------------------------------------------------------------------===//

template <typename T> static T *at(SmallVectorImpl<char> &bytes, uint64_t offset, uint64_t count = 1) {
  if (offset > bytes.size() || count > (bytes.size() - offset) / sizeof(T))
    return nullptr;
  return reinterpret_cast<T *>(bytes.data() + offset);
}

/// Fills the last page of what is read-only after relocation: the dynamic linker protects whole pages only.
/// Points the weights' segment, so far without bytes, behind the file.
static Error finishSegments(LinkedFile &file, uint64_t weightsBytes, uint64_t weightsFrom) {
  auto corrupt = [] { return fail("internal error: the linker wrote no segment for the weights"); };
  auto *header = at<ELF::Elf64_Ehdr>(file.bytes, 0);
  if (!header)
    return corrupt();
  uint64_t offset = alignTo(std::max<uint64_t>(file.bytes.size(), weightsFrom), kWeightsAlign);
  auto *segments = at<ELF::Elf64_Phdr>(file.bytes, header->e_phoff, header->e_phnum);
  auto *sections = at<ELF::Elf64_Shdr>(file.bytes, header->e_shoff, header->e_shnum);
  if (!segments || !sections)
    return corrupt();
  ELF::Elf64_Phdr *last = nullptr;
  for (auto &segment : MutableArrayRef(segments, header->e_phnum)) {
    if (segment.p_type == ELF::PT_LOAD)
      last = &segment;
    if (segment.p_type != ELF::PT_GNU_RELRO)
      continue;
    for (auto &load : MutableArrayRef(segments, header->e_phnum))
      if (load.p_type == ELF::PT_LOAD && load.p_vaddr == segment.p_vaddr) {
        if (load.p_align == 0) // of the largest page
          return corrupt();
        segment.p_memsz = alignTo(segment.p_memsz, load.p_align);
        load.p_memsz = std::max<uint64_t>(load.p_memsz, segment.p_memsz);
      }
  }
  if (!weightsBytes)
    return Error::success();
  if (!last || last->p_memsz != weightsBytes || last->p_vaddr % kWeightsAlign != 0)
    return corrupt();
  last->p_offset = offset;
  last->p_filesz = weightsBytes;
  last->p_align = kWeightsAlign;
  for (auto &section : MutableArrayRef(sections, header->e_shnum))
    if (section.sh_addr == last->p_vaddr && section.sh_size == weightsBytes && section.sh_flags & ELF::SHF_ALLOC) {
      section.sh_type = ELF::SHT_PROGBITS;
      section.sh_flags = ELF::SHF_ALLOC;
      section.sh_offset = offset;
      section.sh_addralign = kWeightsAlign;
    }
  file.weightsOffset = offset;
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Public functions
//===----------------------------------------------------------------------===//

Expected<LinkedFile> linkShared(ArrayRef<CodeObject> objects, uint64_t weightsInside, uint64_t weightsFrom,
                                const CodeOptions &options) {
  std::vector<std::string> flags = {"-shared", "-nostdlib", "-z",         "now",           "-z",
                                    "relro",   "-z",        "noexecstack", "--gc-sections", "--hash-style=gnu"};
  if (!options.sanitizeAddress) // otherwise the host process has the sanitizer's runtime
    flags.insert(flags.end(), {"-z", "defs"});
  if (!options.debug)
    flags.push_back("--strip-all");
  std::string script = linkerScript(weightsInside);
  Expected<LinkedFile> file = link(objects, flags, &script);
  if (!file)
    return file;
  if (Error error = finishSegments(*file, weightsInside, weightsFrom))
    return std::move(error);
  return file;
}

Expected<LinkedFile> linkRelocatable(ArrayRef<CodeObject> objects, const CodeOptions &options) {
  return link(objects, {"-r"}, nullptr);
}

Expected<SmallString<0>> makeArchive(ArrayRef<CodeObject> objects, StringRef name) {
  std::vector<NewArchiveMember> members;
  std::vector<std::string> names; // referred to by the members
  names.reserve(objects.size());
  for (const CodeObject &object : objects) {
    names.push_back((name + "-" + object.name + ".o").str());
    members.emplace_back(MemoryBufferRef(object.bytes, names.back()));
  }
  Expected<std::unique_ptr<MemoryBuffer>> archive =
      writeArchiveToBuffer(members, SymtabWritingMode::NormalSymtab, members.front().detectKindFromObject(), /*Deterministic=*/true,
                           /*Thin=*/false);
  if (!archive)
    return archive.takeError();
  return SmallString<0>((*archive)->getBuffer());
}

} // namespace attnc
