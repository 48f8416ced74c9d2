// Damages files at random, the same way every time: byte and bit changes, cut, doubled and moved pieces, and
// pieces of the format that are known to hurt.
#pragma once

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace gpunn {

class Mutator {
 public:
  Mutator(std::uint32_t seed, std::vector<std::string> words) : random_(seed), words_(std::move(words)) {}

  std::string operator()(std::string text) {
    for (std::size_t times = 1 + below(3); times > 0; --times) mutate(text);
    return text;
  }

  std::size_t below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

 private:
  void mutate(std::string& text) {
    constexpr std::array<char, 8> kSharp{0, 1, 0x7F, '\x80', '\xFF', '"', '0', '\n'};
    const std::size_t at = below(text.size() + 1),
                      length = below(std::min<std::size_t>(text.size() - at, 64) + 1);
    const std::string& word = words_[below(words_.size())];
    switch (below(8)) {
      case 0:
        flip(text, at, static_cast<char>(1 << below(8)));
        break;
      case 1:
        flip(text, at, static_cast<char>(random_()));
        break;
      case 2:
        if (at < text.size()) text[at] = kSharp[below(kSharp.size())];
        break;
      case 3:
        text.erase(at, length);
        break;
      case 4:
        text.insert(at, text.substr(at, length));
        break;
      case 5:
        text.insert(below(text.size() + 1), text.substr(at, length));
        break;
      case 6:
        text.insert(at, word);
        break;
      case 7:
        text.replace(at, std::min(word.size(), text.size() - at), word);
        break;
    }
  }

  static void flip(std::string& text, std::size_t at, char bits) {
    if (at < text.size()) text[at] = static_cast<char>(text[at] ^ bits);
  }

  std::mt19937 random_;
  std::vector<std::string> words_;
};

}  // namespace gpunn
