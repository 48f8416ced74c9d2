#include "src/ops/embedding.hpp"

#include "cpu_node.hpp"
#include "harness.hpp"

namespace gpunn::testing {
namespace {

void expect_right(const Shape& ids, std::int64_t vocabulary, std::int64_t width) {
  SCOPED_TRACE(to_string(ids) + " of " + std::to_string(vocabulary) + " x " + std::to_string(width));
  check({.op = "embedding",
         .inputs = {classes(ids, vocabulary), constant(uniform({vocabulary, width}))},
         .terms = static_cast<double>(ids.elements()),
         .wrt = {1},
         .mostly_zero = vocabulary > ids.elements()});
}

TEST(Embedding, WidthsAndVocabularies) {
  for (const std::int64_t width : {1, 3, 8, 16, 17, 64}) expect_right({9, 7}, 11, width);
  for (const std::int64_t vocabulary : {1, 2, 300}) expect_right({9, 7}, vocabulary, 5);
  expect_right({1, 1}, 3, 4);
  expect_right({4}, 5, 6);        // one id per sample
  expect_right({3, 2, 5}, 7, 3);  // any number of axes
}

// A table that several tasks share.
TEST(Embedding, LargeTables) {
  expect_right({8, 40}, 5003, 64);
}

TEST(Embedding, IdsOutsideAreDataErrorsThatNameThePlace) {
  for (const std::int32_t bad : {-1, 5, 2147483647}) {
    Check check;
    std::vector<double> ids = {0, 1, 2, 3, 4, 0, 1, static_cast<double>(bad), 3};
    const ValueId x = check.input(given({3, 3}, ids, Dtype::i32));
    const ValueId table = check.input(constant(uniform({5, 2})));
    check.graph.set_layer("words", {"program.cpp", 12});
    check.graph.emit("embedding", {x, table});
    for (const std::int64_t rows : {1, 3}) {
      try {
        run_on_cpu(check.graph, check.graph.nodes()[0], {ids, std::vector<double>(10)}, rows, {}, 0, {{}});
        ADD_FAILURE() << "no exception for " << bad;
      } catch (const DataError& error) {
        EXPECT_EQ(std::string(error.what()), "program.cpp:12: embedding: token id " + std::to_string(bad) +
                                                 " of sample 2 of the batch, position 1, is not from 0 to 4");
      }
    }
  }
}

TEST(Embedding, WrongShapes) {
  expect_shape_error("embedding", {}, {{Shape{2, 3}}, {Shape{5, 4}}}, "ids must be i32");
  expect_shape_error("embedding", {}, {{Shape{2, 3}, Dtype::i32}, {Shape{5}}}, "the table must be f32");
  expect_shape_error("embedding_backward", ops::EmbeddingBackwardAttrs{5},
                     {{Shape{2, 3}, Dtype::i32}, {Shape{2, 4, 4}}}, "dy must be f32");
}

}  // namespace
}  // namespace gpunn::testing
