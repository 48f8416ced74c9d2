#include "src/io/pickle.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "gpunn/error.hpp"
#include "src/core/text.hpp"

namespace gpunn::io {
namespace {

enum class Kind : std::uint8_t { none, integer, text, tuple, list, function, array, other };

// Values are small: what they refer to lies in tables of the machine, so nothing is nested or owned twice.
struct Value {
  Kind kind = Kind::none;
  std::int64_t number = 0;  // of an integer; else the place in its table
};

// Python's lists here are of numbers alone (a review) or of lists (the array's elements).
struct List {
  std::vector<std::int32_t> numbers;
  std::vector<Value> others;
  bool used = false;  // is an element of another list
};

constexpr std::size_t kMostText = 64;        // names of types and functions
constexpr std::size_t kMostStack = 1 << 20;  // picklers append in groups of a thousand

enum class Function : std::int64_t { reconstruct, array_type, dtype_type, encode };
constexpr std::array<std::pair<std::string_view, Function>, 5> kFunctions{
    {{"numpy.core.multiarray _reconstruct", Function::reconstruct},
     {"numpy._core.multiarray _reconstruct", Function::reconstruct},
     {"numpy ndarray", Function::array_type},
     {"numpy dtype", Function::dtype_type},
     {"_codecs encode", Function::encode}}};  // how protocol 2 writes bytes

class Machine {
 public:
  Machine(std::span<const std::byte> pickle, std::int64_t count, const std::string& where)
      : pickle_(pickle), count_(count), where_(where) {}

  std::vector<std::vector<std::int32_t>> run() {
    while (step()) {
    }
    if (at_ != pickle_.size()) fail("it goes on after its end");
    const Value result = pop();
    if (result.kind != Kind::array || !stack_.empty() || !marks_.empty()) fail("it is no array");
    if (elements_ < 0) fail("the array has no elements");
    return take_lists();
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw DataError(cat(where_, ": byte ", at_, " of its pickle: ", what));
  }

  std::span<const std::byte> bytes(std::uint64_t n) {
    if (n > pickle_.size() - at_) fail("it ends too early");
    const auto result = pickle_.subspan(at_, n);
    at_ += n;
    return result;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, bytes(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text(std::uint64_t n) {
    if (n > kMostText) fail("a long text");
    const auto chars = bytes(n);
    return {reinterpret_cast<const char*>(chars.data()), chars.size()};
  }
  std::string line() {
    std::string result;
    for (char c = number<char>(); c != '\n'; c = number<char>()) {
      if (result.size() == kMostText) fail("a long name");
      result += c;
    }
    return result;
  }

  void push(Value value) {
    if (stack_.size() == kMostStack) fail("too many values at once");
    stack_.push_back(value);
  }
  void push_integer(std::int64_t value) { push({Kind::integer, value}); }
  void push_text(std::string value) {
    texts_.push_back(std::move(value));
    push({Kind::text, std::ssize(texts_) - 1});
  }
  Value pop() {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) fail("it takes a value that is not there");
    const Value value = stack_.back();
    stack_.pop_back();
    return value;
  }
  // The values since the last mark, which lie at the top of the stack.
  std::span<const Value> since_mark() const {
    if (marks_.empty()) fail("it takes a mark that is not there");
    return std::span(stack_).subspan(marks_.back());
  }
  void drop_mark() {
    stack_.resize(marks_.back());
    marks_.pop_back();
  }

  void push_tuple(std::span<const Value> values) {
    tuples_.emplace_back(values.begin(), values.end());
    const Value tuple{Kind::tuple, std::ssize(tuples_) - 1};
    stack_.resize(stack_.size() - values.size());
    push(tuple);
  }
  void push_tuple(std::size_t size) {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < size) fail("it takes a value that is not there");
    push_tuple(std::span(stack_).last(size));
  }
  const std::vector<Value>& tuple(Value value) const {
    if (value.kind != Kind::tuple) fail("no tuple where one belongs");
    return tuples_[static_cast<std::size_t>(value.number)];
  }

  void push_list() {
    if (std::ssize(lists_) > count_) fail(cat("more lists than the ", count_, " elements of the array"));
    lists_.emplace_back();
    push({Kind::list, std::ssize(lists_) - 1});
  }
  List& list(Value value) {
    if (value.kind != Kind::list) fail("no list where one belongs");
    return lists_[static_cast<std::size_t>(value.number)];
  }
  void append(List& to, Value value) {
    if (value.kind == Kind::integer) {
      if (!std::in_range<std::int32_t>(value.number)) fail(cat(value.number, " does not fit into 32 bits"));
      to.numbers.push_back(static_cast<std::int32_t>(value.number));
      return;
    }
    List& element = list(value);
    if (element.used || &element == &to) fail("a list that stands in two places");
    element.used = true;
    to.others.push_back(value);
  }

  void remember() {
    if (stack_.empty()) fail("it remembers a value that is not there");
    memo_.push_back(stack_.back());
  }
  void remember_as(std::uint64_t place) {
    if (place != memo_.size()) fail("its memory is out of order");
    remember();
  }
  void recall(std::uint64_t place) {
    if (place >= memo_.size()) fail("it recalls a value that it never remembered");
    push(memo_[place]);
  }

  void push_function(const std::string& name) {
    for (const auto& [known, function] : kFunctions) {
      if (known == name) return push({Kind::function, static_cast<std::int64_t>(function)});
    }
    fail(cat(in_quotes(name), " is not among what is understood here"));
  }
  // What the functions would return. Nothing is called.
  void reduce() {
    const Value arguments = pop(), callee = pop();
    const std::vector<Value>& given = tuple(arguments);
    if (callee.kind != Kind::function) fail("it calls what is no function");
    switch (static_cast<Function>(callee.number)) {
      case Function::reconstruct:
        if (given.empty() || given[0].kind != Kind::function ||
            given[0].number != static_cast<std::int64_t>(Function::array_type)) {
          fail("it makes something that is no numpy array");
        }
        return push({Kind::array});
      case Function::dtype_type:
        if (given.empty() || given[0].kind != Kind::text ||
            texts_[static_cast<std::size_t>(given[0].number)] != "O8")
          fail("an array that is not of objects");
        return push({Kind::other});
      case Function::encode:
        return push({Kind::other});
      case Function::array_type:
        fail("it makes an array in a way that is not understood here");
    }
  }
  // (version, shape, dtype, is in column-major order, elements) for an array.
  void build() {
    const Value state = pop(), object = pop();
    if (object.kind == Kind::array) {
      const std::vector<Value>& parts = tuple(state);
      if (parts.size() != 5 || parts[4].kind != Kind::list || elements_ >= 0)
        fail("the array's state is not numpy's");
      elements_ = parts[4].number;
    } else if (object.kind != Kind::other) {
      fail("it gives a state to what has none");
    }
    push(object);
  }

  bool step();
  void number_of_bytes();

  std::vector<std::vector<std::int32_t>> take_lists() {
    const List& elements = lists_[static_cast<std::size_t>(elements_)];
    if (!elements.numbers.empty() || std::ssize(elements.others) != count_) {
      fail(cat("the array has ", elements.others.size(), " lists and ", elements.numbers.size(),
               " numbers, its header says ", count_, " elements"));
    }
    std::vector<std::vector<std::int32_t>> result;
    for (const Value value : elements.others) {
      List& element = list(value);
      if (!element.others.empty()) fail("a list of lists among the elements");
      result.push_back(std::move(element.numbers));
    }
    return result;
  }

  const std::span<const std::byte> pickle_;
  const std::int64_t count_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::vector<Value> stack_;
  std::vector<std::size_t> marks_;  // how many values lay below each
  std::vector<Value> memo_;
  std::vector<std::string> texts_;
  std::vector<std::vector<Value>> tuples_;
  std::vector<List> lists_;
  std::int64_t elements_ = -1;  // the list of the array's elements
};

// LONG1: a whole number in its fewest bytes, two's complement.
void Machine::number_of_bytes() {
  const auto n = number<std::uint8_t>();
  if (n > 8) fail("a number of more than 64 bits");
  const auto digits = bytes(n);
  std::uint64_t value = n > 0 && (digits[n - 1u] & std::byte{0x80}) != std::byte{} ? ~std::uint64_t{0} : 0;
  std::memcpy(&value, digits.data(), n);
  push_integer(static_cast<std::int64_t>(value));
}

// One instruction; false after the last. The names are those of Python's pickletools.
bool Machine::step() {
  const auto code = number<unsigned char>();
  switch (code) {
    case 0x80: {  // PROTO
      const int protocol = number<std::uint8_t>();
      if (protocol < 2 || protocol > 5) fail(cat("protocol ", protocol));
      break;
    }
    case 0x95:
      number<std::uint64_t>();
      break;  // FRAME: what follows is no different
    case '.':
      return false;  // STOP
    case '(':
      marks_.push_back(stack_.size());
      break;  // MARK
    case 'N':
      push({Kind::none});
      break;  // NONE
    case 0x88:
    case 0x89:
      push({Kind::other});
      break;  // NEWTRUE, NEWFALSE
    case 'K':
      push_integer(number<std::uint8_t>());
      break;  // BININT1
    case 'M':
      push_integer(number<std::uint16_t>());
      break;  // BININT2
    case 'J':
      push_integer(number<std::int32_t>());
      break;  // BININT
    case 0x8A:
      number_of_bytes();
      break;  // LONG1
    case 'C':
    case 'U':
    case 0x8C:
      push_text(text(number<std::uint8_t>()));
      break;  // SHORT_BINBYTES, ...
    case 'B':
    case 'T':
    case 'X':
      push_text(text(number<std::uint32_t>()));
      break;  // BINBYTES, BINSTRING, ...
    case ')':
      push_tuple(0);
      break;  // EMPTY_TUPLE
    case 0x85:
      push_tuple(1);
      break;  // TUPLE1
    case 0x86:
      push_tuple(2);
      break;
    case 0x87:
      push_tuple(3);
      break;
    case 't': {  // TUPLE
      const std::size_t size = since_mark().size();
      marks_.pop_back();
      push_tuple(size);
      break;
    }
    case ']':
      push_list();
      break;     // EMPTY_LIST
    case 'a': {  // APPEND
      const Value value = pop(), to = pop();
      append(list(to), value);
      push(to);
      break;
    }
    case 'e': {  // APPENDS
      const auto values = since_mark();
      if (marks_.back() == 0) fail("it appends to a list that is not there");
      List& to = list(stack_[marks_.back() - 1]);
      for (const Value value : values) append(to, value);
      drop_mark();
      break;
    }
    case 'q':
      remember_as(number<std::uint8_t>());
      break;  // BINPUT
    case 'r':
      remember_as(number<std::uint32_t>());
      break;  // LONG_BINPUT
    case 0x94:
      remember();
      break;  // MEMOIZE
    case 'h':
      recall(number<std::uint8_t>());
      break;  // BINGET
    case 'j':
      recall(number<std::uint32_t>());
      break;     // LONG_BINGET
    case 'c': {  // GLOBAL
      const std::string module = line();
      push_function(module + " " + line());
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const Value name = pop(), module = pop();
      if (name.kind != Kind::text || module.kind != Kind::text) fail("a function without a name");
      push_function(texts_[static_cast<std::size_t>(module.number)] + " " +
                    texts_[static_cast<std::size_t>(name.number)]);
      break;
    }
    case 'R':
      reduce();
      break;  // REDUCE
    case 'b':
      build();
      break;  // BUILD
    default:
      fail(cat("the instruction ", int{code}, " is not among what is understood here"));
  }
  return true;
}

}  // namespace

std::vector<std::vector<std::int32_t>> unpickle_integer_lists(std::span<const std::byte> pickle,
                                                              std::int64_t count, const std::string& where) {
  return Machine(pickle, count, where).run();
}

}  // namespace gpunn::io
