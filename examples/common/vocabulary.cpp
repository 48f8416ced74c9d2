#include "vocabulary.hpp"

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string_view>

namespace example {

std::string name_with(const std::string& program, const gpunn::TextVectorization& vocabulary) {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&hash](std::uint8_t byte) { hash = (hash ^ byte) * 0x100000001b3u; };
  add(static_cast<std::uint8_t>(vocabulary.options().standardize));
  add(static_cast<std::uint8_t>(vocabulary.options().split));
  for (const std::string& token : vocabulary.vocabulary()) {
    for (const char c : token) add(static_cast<std::uint8_t>(c));
    add(0xff);  // stands in no UTF-8, so that "ab" "c" is not "a" "bc"
  }
  char hex[17];
  std::snprintf(hex, sizeof(hex), "%016llx", static_cast<unsigned long long>(hash));
  return program + "-" + hex;
}

std::string vocabulary_of(const std::string& model_file) {
  return std::filesystem::path(model_file).replace_extension(".vocabulary.json").string();
}

TextModel load_text_model(const std::string& program, const std::string& model_file, const Flags& flags) {
  gpunn::Model model = gpunn::load_model(model_file, flags.model());
  if (!std::string_view(model.name()).starts_with(program + "-"))
    throw gpunn::DataError(model_file + " is no model that " + program + " saved");
  const std::string file = vocabulary_of(model_file);
  auto vocabulary = gpunn::TextVectorization::load(file);
  if (model.name() != name_with(program, vocabulary))
    throw gpunn::DataError(file + " is not the vocabulary that " + model_file + " was trained with");
  return {std::move(model), std::move(vocabulary)};
}

}  // namespace example
