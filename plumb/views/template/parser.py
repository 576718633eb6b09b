"""Parser: a template's tokens as nodes; errors have Go's words and the template's line."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise

from plumb.frozen import frozen
from plumb.views.template import numbers
from plumb.views.template.lexer import Kind, Token, tokens
from plumb.views.template.nodes import (
    Action,
    Body,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Jump,
    Nil,
    Node,
    Number,
    Pipe,
    String,
    Text,
    Variable,
    is_empty,
)
from plumb.views.template.text.quoting import quote, unquote

OPERANDS = (
    Kind.BOOL, Kind.CHAR_CONSTANT, Kind.COMPLEX, Kind.DOT, Kind.FIELD, Kind.IDENTIFIER,
    Kind.NUMBER, Kind.NIL, Kind.RAW_STRING, Kind.STRING, Kind.VARIABLE, Kind.LEFT_PAREN,
)  # fmt: skip
STRINGS = (Kind.STRING, Kind.RAW_STRING)
CONSTANTS = (Bool, Dot, Nil, Number, String)
READERS = {
    Kind.NUMBER: numbers.constant,
    Kind.COMPLEX: numbers.complex_constant,
    Kind.CHAR_CONSTANT: numbers.character,
}


class Refused(Exception):
    """A template that cannot be parsed; the message is Go's."""


@frozen
class Template:
    """A parsed text: its body, and the templates that it defines, by name."""

    text: str
    bodies: dict[str, Body]


def parse(text: str, functions: Collection[str]) -> Template:
    """Parse a template.

    Args:
        functions: names that it may call.

    Raises:
        Refused: it cannot be parsed.
    """
    parser = _Parser(text, functions)
    try:
        parser.parse()
    except RecursionError:
        raise parser.refused("exceeded maximum expression depth") from None
    return Template(text, parser.bodies)


class _Parser:
    """Tokens from the lexer, those that were given back, and what is open."""

    def __init__(self, text: str, functions: Collection[str]) -> None:
        self.lexer: Iterator[Token] = tokens(text)
        self.functions = functions
        self.pending: list[Token] = []
        self.last = Token(Kind.EOF, "", 0, 1)
        self.action_line = 0
        self.variables = ["$"]
        self.loops = 0
        self.bodies: dict[str, Body] = {}

    # -- tokens ----------------------------------------------------------------

    def next(self) -> Token:
        if not self.pending:
            self.last = next(self.lexer, self.last)
            return self.last
        return self.pending.pop()

    def back(self, *read: Token) -> None:
        """Give tokens back, in the order in which they were read."""
        self.pending.extend(reversed(read))

    def peek(self) -> Token:
        token = self.next()
        self.back(token)
        return token

    def next_word(self) -> Token:
        """The next token that is no blank."""
        while (token := self.next()).kind is Kind.SPACE:
            pass
        return token

    def peek_word(self) -> Token:
        token = self.next_word()
        self.back(token)
        return token

    def refused(self, message: object) -> Refused:
        return Refused(f"template: :{self.last.line}: {message}")

    def unexpected(self, token: Token, context: str) -> Refused:
        if token.kind is not Kind.ERROR:
            return self.refused(f"unexpected {token} in {context}")
        where = ""
        if self.action_line not in (0, token.line):
            where = f" in action started at :{self.action_line}"
            if token.text.endswith(" action"):
                where = where.removeprefix(" in action")
        return self.refused(f"{token}{where}")

    def expect(self, context: str, *kinds: Kind) -> Token:
        token = self.next_word()
        if token.kind not in kinds:
            raise self.unexpected(token, context)
        return token

    # -- what stands one after the other ----------------------------------------

    def parse(self) -> None:
        """Parse the whole text."""
        first = self.peek().position
        nodes: list[Node] = []
        while self.peek().kind is not Kind.EOF:
            if self.peek().kind is Kind.LEFT_DELIM:
                delim, word = self.next(), self.next_word()
                if word.kind is Kind.KEYWORD and word.text == "define":
                    self.definition()
                    continue
                self.back(delim, word)
            node = self.text_or_action()
            if isinstance(node, Jump) and node.word in ("end", "else"):
                raise self.refused(f"unexpected {node}")
            nodes.append(node)
        self.define("", Body(first, tuple(nodes)))

    def define(self, name: str, body: Body) -> None:
        known = self.bodies.get(name)
        if known is None or is_empty(known.nodes):
            self.bodies[name] = body
        elif not is_empty(body.nodes):
            raise self.refused(f"template: multiple definition of template {quote(name)}")

    def definition(self) -> None:
        context = "define clause"
        name = self.unquoted(self.expect(context, *STRINGS))
        self.expect(context, Kind.RIGHT_DELIM)
        self.own_body(name, context)

    def own_body(self, name: str, context: str) -> None:
        """Body of another template: it sees no variables but $, and no loop around it."""
        outside = self.variables, self.loops
        self.variables, self.loops = ["$"], 0
        body, end = self.body()
        if end.word != "end":
            raise self.refused(f"unexpected {end} in {context}")
        self.variables, self.loops = outside
        self.define(name, body)

    def body(self) -> tuple[Body, Jump]:
        """Nodes up to the next end or else, and that."""
        first = self.peek_word().position
        nodes: list[Node] = []
        while self.peek_word().kind is not Kind.EOF:
            node = self.text_or_action()
            if isinstance(node, Jump) and node.word in ("end", "else"):
                return Body(first, tuple(nodes)), node
            nodes.append(node)
        raise self.refused("unexpected EOF")

    def text_or_action(self) -> Node:
        token = self.next_word()
        if token.kind is Kind.TEXT:
            return Text(token.position, token.text)
        if token.kind is not Kind.LEFT_DELIM:
            raise self.unexpected(token, "input")
        self.action_line = token.line
        node = self.action()
        self.action_line = 0
        return node

    # -- actions ---------------------------------------------------------------

    def action(self) -> Node:
        token = self.next_word()
        if token.kind is Kind.KEYWORD:
            match token.text:
                case "if" | "with" | "range":
                    return self.branch(token.text)
                case "block" | "template":
                    return self.call(token.text)
                case "break" | "continue":
                    return self.jump(token)
                case "else":
                    return self.otherwise()
                case "end":
                    return Jump(self.expect("end", Kind.RIGHT_DELIM).position, "end")
        self.back(token)
        return Action(token.position, self.pipeline("command", Kind.RIGHT_DELIM))

    def jump(self, word: Token) -> Jump:
        token = self.next_word()
        if token.kind is not Kind.RIGHT_DELIM:
            raise self.unexpected(token, f"{{{{{word.text}}}}}")
        if not self.loops:
            raise self.refused(f"{{{{{word.text}}}}} outside {{{{range}}}}")
        return Jump(word.position, word.text)

    def otherwise(self) -> Jump:
        """An else; `else if` and `else with` leave their second word to be read."""
        token = self.peek_word()
        if token.kind is Kind.KEYWORD and token.text in ("if", "with"):
            return Jump(token.position, "else")
        return Jump(self.expect("else", Kind.RIGHT_DELIM).position, "else")

    def branch(self, word: str) -> Branch:
        """An if, with or range, up to its end."""
        outside = len(self.variables)
        pipe = self.pipeline(word, Kind.RIGHT_DELIM)
        self.loops += word == "range"
        body, end = self.body()
        self.loops -= word == "range"
        rest = self.rest(word, end) if end.word == "else" else None
        del self.variables[outside:]
        return Branch(pipe.at, word, pipe, body, rest)

    def rest(self, word: str, end: Jump) -> Body:
        """Nodes that follow an else."""
        token = self.peek()
        if word != "range" and token.kind is Kind.KEYWORD and token.text == word:
            self.next()
            return Body(end.at, (self.branch(word),))
        body, last = self.body()
        if last.word != "end":
            raise self.refused(f"expected end; found {last}")
        return body

    def call(self, word: str) -> Call:
        """A template that is called; a block is defined there as well."""
        context = f"{word} clause"
        token = self.next_word()
        if token.kind not in STRINGS:
            raise self.unexpected(token, context)
        name = self.unquoted(token)
        if word == "template" and self.peek_word().kind is Kind.RIGHT_DELIM:
            self.next_word()
            return Call(token.position, name, None)
        pipe = self.pipeline(context, Kind.RIGHT_DELIM)
        if word == "block":
            self.own_body(name, context)
        return Call(token.position, name, pipe)

    # -- pipelines -------------------------------------------------------------

    def pipeline(self, context: str, end: Kind) -> Pipe:
        first = self.peek_word().position
        variables, assigns = self.declarations(context)
        commands: list[Command] = []
        while (token := self.next_word()).kind is not end:
            if token.kind not in OPERANDS:
                raise self.unexpected(token, context)
            self.back(token)
            commands.append(self.command())
        self.check(commands, context)
        return Pipe(first, variables, assigns, tuple(commands))

    def declarations(self, context: str) -> tuple[tuple[Variable, ...], bool]:
        """Variables that get the result, and whether they are there already."""
        found: list[Variable] = []
        while (token := self.peek_word()).kind is Kind.VARIABLE:
            self.next_word()
            blank = self.peek()
            sign = self.peek_word()
            if sign.kind in (Kind.ASSIGN, Kind.DECLARE):
                self.declare(found, token)
                return tuple(found), sign.kind is Kind.ASSIGN
            if (sign.kind, sign.text) != (Kind.CHAR, ","):
                self.back(*((token, blank) if blank.kind is Kind.SPACE else (token,)))
                break
            self.declare(found, token)
            if context != "range" or len(found) > 1:
                raise self.refused(f"too many declarations in {context}")
            if self.peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT_DELIM, Kind.RIGHT_PAREN):
                raise self.refused("range can only initialize variables")
        return tuple(found), False

    def declare(self, found: list[Variable], token: Token) -> None:
        self.next_word()
        found.append(Variable(token.position, tuple(token.text.split("."))))
        self.variables.append(token.text)

    def check(self, commands: list[Command], context: str) -> None:
        if not commands:
            raise self.refused(f"missing value for {context}")
        for stage, (_, command) in enumerate(pairwise(commands), 2):
            if isinstance(command.args[0], CONSTANTS):
                raise self.refused(f"non executable command in pipeline stage {stage}")

    def command(self) -> Command:
        first = self.peek_word().position
        args: list[Node] = []
        while True:
            self.skip_blanks()
            operand = self.operand()
            if operand is not None:
                args.append(operand)
            token = self.next()
            if token.kind in (Kind.RIGHT_DELIM, Kind.RIGHT_PAREN):
                self.back(token)
                break
            if token.kind is Kind.PIPE:
                break
            if token.kind is not Kind.SPACE:
                raise self.unexpected(token, "operand")
        if not args:
            raise self.refused("empty command")
        return Command(first, tuple(args))

    def skip_blanks(self) -> None:
        self.peek_word()

    def operand(self) -> Node | None:
        """A term with the fields behind it."""
        node = self.term()
        if node is None or self.peek().kind is not Kind.FIELD:
            return node
        at = self.peek().position
        names: list[str] = []
        while self.peek().kind is Kind.FIELD:
            names.append(self.next().text[1:])
        match node:
            case Field() | Variable():
                return type(node)(at, (*node.names, *names))
            case Bool() | String() | Number() | Nil() | Dot():
                raise self.refused(f"unexpected . after term {quote(str(node))}")
        return Chain(at, node, tuple(names))

    def term(self) -> Node | None:
        token = self.next_word()
        at, text = token.position, token.text
        match token.kind:
            case Kind.IDENTIFIER:
                if text not in self.functions:
                    raise self.refused(f"function {quote(text)} not defined")
                return Identifier(at, text)
            case Kind.DOT:
                return Dot(at)
            case Kind.NIL:
                return Nil(at)
            case Kind.BOOL:
                return Bool(at, text == "true")
            case Kind.FIELD:
                return Field(at, (text[1:],))
            case Kind.VARIABLE:
                if text not in self.variables:
                    raise self.refused(f"undefined variable {quote(text)}")
                return Variable(at, (text,))
            case Kind.STRING | Kind.RAW_STRING:
                return String(at, text, self.unquoted(token))
            case Kind.NUMBER | Kind.COMPLEX | Kind.CHAR_CONSTANT:
                return self.number(token)
            case Kind.LEFT_PAREN:
                return self.pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
        self.back(token)
        return None

    def number(self, token: Token) -> Number:
        try:
            return READERS[token.kind](token.position, token.text)
        except ValueError as error:
            raise self.refused(error) from None

    def unquoted(self, token: Token) -> str:
        try:
            return unquote(token.text)
        except ValueError as error:
            raise self.refused(error) from None
