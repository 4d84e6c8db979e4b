"""Owns the colours of code."""

from pygments.token import Token  # type: ignore[import-untyped]
from textual.highlight import HighlightTheme, TokenType


class Colours(HighlightTheme):
    """The colours of code: nothing in it is red, for red is what is gone, and comments can be read."""

    STYLES: dict[TokenType, str] = {
        **HighlightTheme.STYLES,
        Token.Comment: "$text-muted italic",
        Token.Error: "underline",
        Token.Generic.Error: "underline",
        Token.Keyword: "$text-accent",
        Token.Keyword.Constant: "$text-warning",
        Token.Keyword.Namespace: "$text-accent",
        Token.Literal.String: "$text-success",
        Token.Literal.String.Backtick: "$text-success",
        Token.Literal.String.Doc: "$text-muted italic",
        Token.Literal.String.Double: "$text-success",
        Token.Name: "",
        Token.Name.Constant: "$text-warning",
        Token.Name.Function: "$text-primary",
        Token.Name.Function.Magic: "$text-primary",
        Token.Name.Class: "$text-primary bold",
        Token.Operator: "",
        Token.Operator.Word: "$text-accent",
    }
