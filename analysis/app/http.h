// As much of HTTP as a browser on the same machine needs of a local page: one request per connection, answered by a
// handler. Listens on 127.0.0.1 alone. What is malformed, too large or too slow is refused before a handler sees it.
// One thread listens to all connections; workers get requests that are whole, so that a silent connection holds nobody
// up.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace flopcast {

struct HttpRequest {
  std::string method;                                          ///< "GET" or "POST"
  std::string path;                                            ///< decoded: "/run"
  std::vector<std::pair<std::string, std::string>> arguments;  ///< of the query, decoded
  std::map<std::string, std::string> headers;                  ///< names in lower case
  std::string body;

  std::string argument(std::string_view name) const;  ///< the first of that name, or empty
  std::vector<std::string> all_arguments(std::string_view name) const;
  std::string header(const std::string& name) const;
};

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  std::string file_name = {};  ///< to be saved under; empty: to be shown
};

/// The head and body of one request, or why it is none.
struct ParsedRequest {
  std::optional<HttpRequest> request;
  int fault = 400;  ///< status where there is no request
};
/// @param head up to and without the empty line
ParsedRequest parse_request(std::string_view head);

/// "%41+b" -> "A b"; nothing where a % is not followed by two digits.
std::optional<std::string> decoded(std::string_view text);

class HttpServer {
 public:
  using Handler = std::function<HttpAnswer(const HttpRequest&)>;
  /// @param port 0: any that is free. @throws std::runtime_error when it is taken.
  HttpServer(int port, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  int port() const { return port_; }
  /// Takes requests until `go_on` says no; asked a few times a second.
  void serve(const std::function<bool()>& go_on);

 private:
  /// A connection whose request is not whole yet, or that was answered and may still read.
  struct Visitor {
    int connection = -1;
    std::chrono::steady_clock::time_point until;  ///< then it is closed
    bool answered = false;
    std::string text = {};  ///< read so far: of the head, then of the body
    ParsedRequest parsed = {};
    std::size_t body = 0;  ///< bytes, once the head is known
  };
  struct Asked {
    int connection = -1;
    ParsedRequest parsed;
  };
  enum class Listened { more, whole, gone };

  Listened listen_to(Visitor& visitor);
  void let_in(Visitor visitor);
  void take_back();
  void work();
  void answer(int connection, const ParsedRequest& parsed);

  Handler handler_;
  int listener_ = -1, port_ = 0;
  std::deque<Visitor> open_;  // of the thread that serves; the longest there first
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Asked> asked_;
  std::vector<int> answered_;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace flopcast
