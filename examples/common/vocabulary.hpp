// A model of texts answers right only with the vocabulary it was trained with: both are saved at the same
// moment, and the model's name says which vocabulary that was.
#pragma once

#include <string>

#include "example.hpp"

namespace example {

// "review_gru-0123456789abcdef": the program, and a checksum of what decides which text becomes which ids.
std::string name_with(const std::string& program, const gpunn::TextVectorization& vocabulary);

// Where a saved model's vocabulary lies: "model.safetensors" -> "model.vocabulary.json".
std::string vocabulary_of(const std::string& model_file);

struct TextModel {
  gpunn::Model model;
  gpunn::TextVectorization vocabulary;
};

// What train() saved for `program`. Throws DataError for another program's model, and where the vocabulary is
// not the one that the model was trained with.
TextModel load_text_model(const std::string& program, const std::string& model_file, const Flags& flags);

}  // namespace example
