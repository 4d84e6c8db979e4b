((element [(start_tag (attribute (attribute_name) @_id [(attribute_value) @name (quoted_attribute_value (attribute_value) @name)]))
           (self_closing_tag (attribute (attribute_name) @_id [(attribute_value) @name (quoted_attribute_value (attribute_value) @name)]))]) @element
 (#eq? @_id "id"))
((element (start_tag (tag_name) @_tag) . (text) @name) @heading (#match? @_tag "^[hH][1-6]$"))
((element (start_tag (tag_name) @_tag) . (text) @name) @title (#match? @_tag "^title$"))
;; uses
(attribute_value) @use
