// Walks over the blanked code with a stack of open braces, each a scope (namespace, type) or a
// body. A body that opens directly in a scope and follows a parameter list is a function. Comes
// after source; test thread only; every opening brace is closed by exactly one pop.
#include "tests/tidy/functions.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace vecserve::tidy {
namespace {

bool is_space(char c) {
  return std::isspace(static_cast<unsigned char>(c)) != 0;
}

bool has_any(const std::vector<Word>& words, std::initializer_list<std::string_view> names) {
  return std::any_of(words.begin(), words.end(), [&](const Word& word) {
    return std::find(names.begin(), names.end(), word.text) != names.end();
  });
}

enum class Brace { kScope, kFunction, kOther };

class Walker {
 public:
  explicit Walker(const Source& source) : source_(source) {}

  std::vector<Function> run() {
    bool continued = false;  // the line continues a preprocessor line
    for (line_ = 0; line_ < source_.code.size(); ++line_) {
      const std::string& code = source_.code[line_];
      const bool directive = continued || code.starts_with("#");
      continued = directive && code.ends_with("\\");
      if (directive) continue;
      for (const char c : code) take(c);
      take(' ');
    }
    close_pending();
    return std::move(functions_);
  }

 private:
  void take(char c) {
    if (pending_ && !is_space(c)) settle_pending(c);
    if (c == '{') {
      open();
    } else if (c == '}') {
      close();
    } else if (depth_in_body_ == 0) {
      take_head(c);
    }
  }

  // The text since the last statement, which says what the next brace opens.
  void take_head(char c) {
    if (c == ';') {
      head_.clear();
    } else if (c == ':' && is_access()) {
      head_.clear();
    } else if (!head_.empty() || !is_space(c)) {
      if (head_.empty()) head_line_ = line_;
      head_ += c;
    }
  }

  bool is_access() const { return head_ == "public" || head_ == "private" || head_ == "protected"; }

  void open() {
    Brace kind = Brace::kOther;
    if (depth_in_body_ == 0) kind = kind_of_head();
    stack_.push_back(kind);
    if (kind == Brace::kScope) {
      head_.clear();
    } else {
      ++depth_in_body_;
    }
  }

  Brace kind_of_head() const {
    const std::vector<Word> words = words_of(head_);
    const bool parameters = head_.find(')') != std::string::npos;
    if (has_any(words, {"namespace"})) return Brace::kScope;
    if (has_any(words, {"extern"}) && !parameters) return Brace::kScope;
    const bool type = has_any(words, {"class", "struct", "union", "enum"});
    const bool marked = has_any(words, {"alignas", "__attribute__"});
    if (type && (!parameters || marked)) return Brace::kScope;
    return parameters ? Brace::kFunction : Brace::kOther;
  }

  void close() {
    if (stack_.empty()) return;
    const Brace kind = stack_.back();
    stack_.pop_back();
    if (kind == Brace::kScope) {
      head_.clear();
      return;
    }
    --depth_in_body_;
    if (depth_in_body_ > 0) return;
    pending_ = kind == Brace::kFunction;
    pending_line_ = line_;
    if (kind == Brace::kOther) head_ += ' ';
  }

  // After `Type() : a_{1}` comes "," or the body: that brace was a member, not the function.
  void settle_pending(char next) {
    if (next == ',' || next == '{') {
      pending_ = false;
      return;
    }
    close_pending();
  }

  void close_pending() {
    if (pending_) functions_.push_back({head_line_ + 1, pending_line_ + 1});
    pending_ = false;
    head_.clear();
  }

  const Source& source_;
  std::vector<Function> functions_;
  std::vector<Brace> stack_;
  std::string head_;
  std::size_t line_ = 0;
  std::size_t head_line_ = 0;
  std::size_t depth_in_body_ = 0;
  std::size_t pending_line_ = 0;
  bool pending_ = false;
};

}  // namespace

std::vector<Function> functions_of(const Source& source) {
  return Walker(source).run();
}

}  // namespace vecserve::tidy
