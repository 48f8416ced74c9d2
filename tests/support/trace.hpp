// Reads a trace as its viewers do.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace gpunn::testing {

struct TraceEvent {
  std::string name, category;
  double begin = 0, end = 0;  // microseconds
};

struct ReadTrace {
  std::map<int, std::vector<TraceEvent>> threads;

  explicit ReadTrace(const std::filesystem::path& file) {
    std::ifstream in(file);
    const auto json = nlohmann::json::parse(in);  // throws when it is none
    for (const auto& event : json.at("traceEvents")) {
      EXPECT_EQ(event.at("ph"), "X");
      const double begin = event.at("ts"), duration = event.at("dur");
      EXPECT_GE(begin, 0);
      EXPECT_GE(duration, 0);
      threads[event.at("tid")].push_back({event.at("name"), event.at("cat"), begin, begin + duration});
      if (event.at("cat") == "layer") {
        EXPECT_GE(event.at("args").at("bytes"), 0);
        EXPECT_FALSE(event.at("args").at("op").get<std::string>().empty());
      }
    }
  }

  std::set<std::string> names(const std::string& category) const {
    std::set<std::string> found;
    for (const auto& [thread, events] : threads) {
      for (const TraceEvent& event : events) {
        if (event.category == category) found.insert(event.name);
      }
    }
    return found;
  }
  std::size_t count(const std::string& category) const {
    std::size_t n = 0;
    for (const auto& [thread, events] : threads)
      n += static_cast<std::size_t>(
          std::count_if(events.begin(), events.end(), [&](const auto& e) { return e.category == category; }));
    return n;
  }

  // On each thread ranges lie within or beside one another, and those inside are of a finer kind.
  void expect_nested(const std::vector<std::string>& order) const {
    const auto rank = [&](const TraceEvent& e) {
      return std::find(order.begin(), order.end(), e.category) - order.begin();
    };
    for (auto [thread, events] : threads) {
      std::stable_sort(events.begin(), events.end(), [&](const auto& a, const auto& b) {
        return a.begin != b.begin ? a.begin < b.begin : rank(a) < rank(b);
      });
      std::vector<TraceEvent> open;
      for (const TraceEvent& event : events) {
        ASSERT_LT(rank(event), static_cast<std::ptrdiff_t>(order.size())) << event.category;
        constexpr double kRounding = 0.0015;  // of three digits
        while (!open.empty() && open.back().end <= event.begin + kRounding &&
               rank(open.back()) >= rank(event))
          open.pop_back();
        if (!open.empty()) {
          EXPECT_LE(event.end, open.back().end + kRounding) << event.name << " leaves " << open.back().name;
          EXPECT_GT(rank(event), rank(open.back())) << event.name << " in " << open.back().name;
        }
        open.push_back(event);
      }
    }
  }
};

}  // namespace gpunn::testing
