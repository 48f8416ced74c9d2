#include "symbols.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

extern "C" {
// g++'s record of patchable_function_entry: the address of the bytes before each function that has it.
extern const char* __start___patchable_function_entries[] __attribute__((weak));
extern const char* __stop___patchable_function_entries[] __attribute__((weak));
}

namespace simt {
namespace {

// The full symbol table of the file that a piece of code was loaded from (dladdr knows exported symbols
// only).
class SymbolTable {
 public:
  explicit SymbolTable(const char* path) {
    std::ifstream in(path, std::ios::binary);
    const std::vector<char> file{std::istreambuf_iterator<char>(in), {}};
    if (file.size() < sizeof(ElfW(Ehdr)) || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) return;
    const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(file.data());
    absolute_ = header->e_type == ET_EXEC;
    const auto* sections = reinterpret_cast<const ElfW(Shdr)*>(file.data() + header->e_shoff);
    for (int i = 0; i < header->e_shnum; ++i) {
      if (sections[i].sh_type != SHT_SYMTAB) continue;
      const auto* symbols = reinterpret_cast<const ElfW(Sym)*>(file.data() + sections[i].sh_offset);
      const char* names = file.data() + sections[sections[i].sh_link].sh_offset;
      for (std::size_t k = 0; k < sections[i].sh_size / sizeof(ElfW(Sym)); ++k) add(symbols[k], names);
    }
  }

  const std::string* function_at(std::uintptr_t address, std::uintptr_t base) const {
    const auto it = functions_.find(absolute_ ? address : address - base);
    return it == functions_.end() ? nullptr : &it->second;
  }
  std::uint64_t bytes_of_objects(const std::string& prefix) const {
    std::uint64_t sum = 0;
    for (auto it = objects_.lower_bound(prefix); it != objects_.end() && it->first.starts_with(prefix);
         ++it) {
      sum += it->second;
    }
    return sum;
  }

 private:
  void add(const ElfW(Sym) & symbol, const char* names) {
    const int type = ELF64_ST_TYPE(symbol.st_info);
    const char* name = names + symbol.st_name;
    if (type == STT_FUNC && symbol.st_value != 0) functions_.try_emplace(symbol.st_value, name);
    if (type == STT_OBJECT && std::strncmp(name, "_ZZ", 3) == 0) objects_.try_emplace(name, symbol.st_size);
  }

  bool absolute_ = false;  // linked to fixed addresses
  std::map<std::uint64_t, std::string> functions_;
  std::map<std::string, std::uint64_t> objects_;
};

struct Found {
  const SymbolTable* table;
  const std::string* mangled;
};

Found find(const void* kernel) {
  static std::map<std::string, SymbolTable> tables;
  Dl_info info;
  if (dladdr(kernel, &info) == 0) return {nullptr, nullptr};
  // The main program's name may be relative to a directory that is no longer the current one.
  const bool loaded_by_name =
      std::strchr(info.dli_fname, '/') != nullptr && std::strstr(info.dli_fname, ".so") != nullptr;
  const std::string path = loaded_by_name ? info.dli_fname : "/proc/self/exe";
  const SymbolTable& table = tables.try_emplace(path, path.c_str()).first->second;
  return {&table, table.function_at(reinterpret_cast<std::uintptr_t>(kernel),
                                    reinterpret_cast<std::uintptr_t>(info.dli_fbase))};
}

}  // namespace

std::string kernel_name(const void* kernel) {
  const Found found = find(kernel);
  if (found.mangled == nullptr) {
    char address[32];
    std::snprintf(address, sizeof address, "%p", kernel);
    return address;
  }
  int status = 0;
  char* readable = abi::__cxa_demangle(found.mangled->c_str(), nullptr, nullptr, &status);
  std::string name = status == 0 ? readable : *found.mangled;
  std::free(readable);
  return name;
}

std::size_t static_shared_bytes_of(const void* kernel) {
  const Found found = find(kernel);
  if (found.mangled == nullptr || !found.mangled->starts_with("_Z")) return 0;
  // The Itanium name of a variable `v` inside function _Zf is _ZZfE1v.
  return found.table->bytes_of_objects("_ZZ" + found.mangled->substr(2) + "E");
}

namespace {
// The bytes in front of another function would hold code.
bool only_padding(const char* p, std::ptrdiff_t n) {
  constexpr char kNop = '\x90';
  return std::all_of(p, p + n, [](char c) { return c == kNop; });
}
}  // namespace

int launch_bound_of(const void* kernel) {
  constexpr std::ptrdiff_t kLimit = 1024;
  std::ptrdiff_t nearest = kLimit;
  for (const char** p = __start___patchable_function_entries; p < __stop___patchable_function_entries; ++p) {
    const std::ptrdiff_t before = static_cast<const char*>(kernel) - *p;
    if (before > 0 && before < nearest && only_padding(*p, before)) nearest = before;
  }
  return static_cast<int>(nearest);
}

}  // namespace simt
